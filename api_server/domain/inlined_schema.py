"""Writes a worker's schema so that it can stand in another document: without references. Pure.

A reference counts from the root of its document, and readers of OpenAPI follow each `$ref` that they see,
also in data. So what a reference names stands in its place, and data with a `$ref` is refused. Annotations
that readers would check or show as HTML are left out or made text.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from api_server.domain.schema_parts import (
    CHILDREN,
    IN_PLACE,
    IN_PLACE_LISTS,
    Schema,
    UnusableSchema,
    members,
    resolved,
)

MAX_DEPTH = 64
"""How deep parts may lie in each other."""
MAX_DEFAULT = 100
"""Characters of a default that a description shows."""
PART = 100
"""Bytes that each part counts besides its own, so that the number of parts has a limit too."""
REFERENCE = "$ref"
ONE = frozenset({*IN_PLACE, *CHILDREN})
LISTS = frozenset({*IN_PLACE_LISTS, "prefixItems"})
NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})
DATA = (
    *("type", "enum", "const", "format", "deprecated", "readOnly", "writeOnly", "pattern"),
    *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength"),
    *("maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties"),
    *("required", "dependentRequired"),
)
TEXTS = frozenset({"title", "description"})


class Inlined(NamedTuple):
    """A schema without references and with known keywords only. `size`: bytes that its JSON has at most."""

    schema: dict[str, Any]
    size: int


def inlined(schema: Mapping[str, Any], max_size: int) -> Inlined:
    """A schema that accepts the same values.

    Raises UnusableSchema if its size would be above `max_size`, if a part contains itself, and for data with
    a `$ref`.
    """
    writer = _Writer(schema, max_size)
    written = writer.written(schema, ())
    return Inlined(written, max_size - writer.left)


class _Writer:
    def __init__(self, root: Mapping[str, Any], left: int) -> None:
        """`left`: bytes that may still be written."""
        self._root = root
        self.left = left

    def written(self, part: Mapping[str, Any], around: tuple[int, ...]) -> dict[str, Any]:
        """`around`: the parts around this one."""
        if id(part) in around:
            raise UnusableSchema("a part of it contains itself")
        if len(around) > MAX_DEPTH:
            raise UnusableSchema("its parts are nested too deep")
        inside = (*around, id(part))
        found = _own(part)
        self._spend(found)
        for keyword in ONE & part.keys():
            found[keyword] = self._any(part[keyword], inside)
        for keyword in LISTS & part.keys():
            found[keyword] = [self._any(each, inside) for each in part[keyword]]
        for keyword in NAMED & part.keys():
            found[keyword] = self._named(members(part, keyword), inside)
        if REFERENCE not in part:
            return found
        target = self._any(resolved(self._root, part[REFERENCE]), inside)
        if isinstance(target, dict) and found.keys() <= TEXTS:
            return {**target, **found}
        return {**found, "allOf": [*found.get("allOf", ()), target]}

    def _named(self, parts: Mapping[str, Schema], around: tuple[int, ...]) -> dict[str, Any]:
        _check_names(parts)
        self._spend(list(parts))
        return {name: self._any(each, around) for name, each in parts.items()}

    def _any(self, part: Schema, around: tuple[int, ...]) -> Any:
        return part if isinstance(part, bool) else self.written(part, around)

    def _spend(self, value: Any) -> None:
        self.left -= PART + len(json.dumps(value))
        if self.left < 0:
            raise UnusableSchema("it is too large without references")


def _own(part: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of a part that have no schemas in them."""
    found = {keyword: part[keyword] for keyword in DATA if keyword in part}
    for value in found.values():
        _check_data(value)
    found.update({keyword: _text(part[keyword]) for keyword in sorted(TEXTS & part.keys())})
    if "default" in part:
        # Readers refuse a document with a default that does not fit its schema.
        default = f"Default: {_short(json.dumps(part['default'], ensure_ascii=False))}"
        found["description"] = "\n\n".join(filter(None, [found.get("description"), _text(default)]))
    return found


def _text(text: str) -> str:
    """The text as Markdown without HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _short(text: str) -> str:
    return text if len(text) <= MAX_DEFAULT else f"{text[: MAX_DEFAULT - 1]}…"


def _check_data(value: Any) -> None:
    if isinstance(value, Mapping):
        _check_names(value)
        for each in value.values():
            _check_data(each)
    elif isinstance(value, list):
        for each in value:
            _check_data(each)


def _check_names(names: Iterable[str]) -> None:
    if REFERENCE in names:
        raise UnusableSchema(f"{REFERENCE} is a name in its data")
