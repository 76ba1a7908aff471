"""Whether a newer schema of a type accepts what an older one declares. Pure.

A payload that fits the older schema, and has only fields that the older schema declares, must fit the newer
one. So a newer schema may add optional fields, drop fields, make required fields optional, and accept more
types, more values and wider limits. It may not require a new field, nor narrow anything.

The rule is cautious: of keywords that it does not compare (`pattern`, `not`, `allOf` and others), the newer
schema may have only those that the older one has, too, with the same value. Both schemas must be valid.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from api_server.domain.schema_parts import ANNOTATIONS, Schema, UnusableSchema, members, resolved

AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
COMPARED = frozenset(
    {"$ref", "additionalProperties", "anyOf", "const", "enum", "items", "properties", "required", "type"}
)
ANYTHING: Mapping[str, Any] = {}
NOTHING: Mapping[str, Any] = {"not": {}}
MAX_REFERENCES = 16
"""How many references in a row are followed."""
ALL_TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
MAX_STEPS = 20_000
"""Comparisons of two parts. A schema that needs more counts as not compatible."""


class _Narrower(Exception):
    """The newer schema refuses something. The text says what and where."""


def narrowing(newer: Mapping[str, Any], older: Mapping[str, Any]) -> str:
    """Where the newer schema refuses what the older one accepts; "": nowhere."""
    try:
        _Comparison(newer, older).check(newer, older, "payload")
    except (_Narrower, UnusableSchema) as error:
        return str(error)
    except (AttributeError, KeyError, RecursionError, TypeError):
        # Annotations such as `discriminator` can be anything in a valid schema.
        return "payload: the schemas cannot be compared"
    return ""


class _Comparison:
    def __init__(self, newer: Mapping[str, Any], older: Mapping[str, Any]) -> None:
        self._newer = newer
        self._older = older
        self._assumed: dict[tuple[int, int], None] = {}
        """Pairs that are being compared, or were found to be compatible, in the order of their begin."""
        self._steps = 0

    def check(self, new: Schema, old: Schema, path: str) -> None:
        """Raises _Narrower."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise _Narrower(f"{path}: the schemas are too large to be compared")
        if new is True or old is False:
            return
        if new is False:
            raise _Narrower(f"{path}: is not accepted any more")
        old = ANYTHING if old is True else old
        pair = id(new), id(old)
        if pair in self._assumed:
            return
        self._assumed[pair] = None
        try:
            self._check_parts(new, old, path)
        except _Narrower:
            # What was found since then may rest on this pair.
            while self._assumed.popitem()[0] != pair:
                pass
            raise

    def _check_parts(self, new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> None:
        old = self._without_references(old)
        for keyword in ("anyOf", "oneOf"):
            if _constraints(old) == {keyword}:
                for each in old[keyword]:
                    self.check(new, each, path)
                return
        if "$ref" in new:
            self.check(resolved(self._newer, new["$ref"]), old, path)
        if "anyOf" in new:
            self._check_any(new["anyOf"], old, path)
        if "oneOf" in new and self._are_disjoint(new):
            self._check_any(new["oneOf"], old, path)
            new = {keyword: value for keyword, value in new.items() if keyword != "oneOf"}
        _check_types(new, old, path)
        _check_values(new, old, path)
        _check_limits(new, old, path)
        _check_others(new, old, path)
        self._check_fields(new, old, path)
        if "items" in new:
            other_items = "prefixItems" in old and "prefixItems" not in new
            self.check(new["items"], True if other_items else old.get("items", True), f"{path}[]")

    def _without_references(self, old: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a `$ref` names. What stands beside the `$ref` can only narrow that."""
        for _ in range(MAX_REFERENCES):
            if "$ref" not in old:
                break
            target = resolved(self._older, old["$ref"])
            old = target if isinstance(target, Mapping) else ANYTHING if target else NOTHING
        return old

    def _are_disjoint(self, new: Mapping[str, Any]) -> bool:
        """Whether no value fits two of the `oneOf`: each requires another constant in the same field."""
        name = new.get("discriminator", {}).get("propertyName")
        constants = set()
        for each in new["oneOf"]:
            branch = resolved(self._newer, each["$ref"]) if "$ref" in each else each
            if isinstance(branch, bool) or branch.get("type") != "object":
                return False
            if name not in branch.get("required", ()):
                return False
            field = members(branch, "properties").get(name)
            if not isinstance(field, Mapping) or not isinstance(field.get("const"), str):
                return False
            constants.add(field["const"])
        return len(constants) == len(new["oneOf"])

    def _check_any(self, branches: Sequence[Schema], old: Mapping[str, Any], path: str) -> None:
        problems = []
        for each in branches:
            try:
                self.check(each, old, path)
            except _Narrower as error:
                problems.append(str(error))
            else:
                return
        raise _Narrower(min(problems, default=f"{path}: nothing is accepted any more", key=len))

    def _check_fields(self, new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> None:
        new_fields, old_fields = members(new, "properties"), members(old, "properties")
        if added := set(new.get("required", ())) - set(old.get("required", ())):
            raise _Narrower(f"{path}.{min(added)}: is required now")
        # Fields that the older schema does not declare are not sent, unless it says what they are.
        others = True if "patternProperties" in old else old.get("additionalProperties", False)
        rest = new.get("additionalProperties", True)
        for name in sorted(old_fields.keys() | (new_fields.keys() if others is not False else set())):
            self.check(new_fields.get(name, rest), old_fields.get(name, others), f"{path}.{name}")
        if others is not False:
            self.check(rest, others, f"{path}.*")


def _constraints(part: Mapping[str, Any]) -> set[str]:
    return set(part.keys() - ANNOTATIONS)


def _check_types(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> None:
    if missing := _types(old) - _types(new):
        raise _Narrower(f"{path}: does not accept the type {min(missing)} any more")


def _types(part: Mapping[str, Any]) -> set[str]:
    named = part.get("type", ALL_TYPES)
    types = {named} if isinstance(named, str) else set(named)
    return types | {"integer"} if "number" in types else types


def _check_values(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> None:
    accepted = _values(new)
    if accepted is None:
        return
    before = _values(old)
    if before is None or any(not any(_same(each, other) for other in accepted) for each in before):
        raise _Narrower(f"{path}: accepts only some of the values")


def _values(part: Mapping[str, Any]) -> list[Any] | None:
    """The only values; None: not limited."""
    return [part["const"]] if "const" in part else part.get("enum")


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _check_limits(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> None:
    for keyword in (*AT_LEAST, *AT_MOST):
        if keyword not in new:
            continue
        is_wider = keyword in old and (
            new[keyword] <= old[keyword] if keyword in AT_LEAST else new[keyword] >= old[keyword]
        )
        if not is_wider:
            raise _Narrower(f"{path}: {keyword} is {new[keyword]} now")


def _check_others(new: Mapping[str, Any], old: Mapping[str, Any], path: str) -> None:
    for keyword in sorted(_constraints(new) - COMPARED - {*AT_LEAST, *AT_MOST}):
        same = keyword in old and new[keyword] == old[keyword] and "$ref" not in str(new[keyword])
        if not same:
            raise _Narrower(f"{path}: {keyword} differs")
