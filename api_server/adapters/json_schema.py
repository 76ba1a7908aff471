"""Checks payloads against JSON Schema: the only place that knows jsonschema_rs.

A schema comes from a worker, and can be hostile. No reference is fetched. Patterns are matched in linear
time: those with look-around or back-references are refused. A schema whose check could take long is refused.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from typing import Any, cast

import jsonschema_rs

from api_server.domain.schema_cost import SchemaCost
from api_server.domain.schema_parts import UnusableSchema
from api_server.schema_ports import PayloadValidator
from contract_runtime.errors import Violation
from contract_runtime.json_kind import kind_of

MAX_PATTERN_BYTES = 64 * 1024
"""How large a pattern may become when it is compiled."""
MAX_EXPLAINED = 16 * 1024
"""Bytes of a payload, times the visits of the schema, up to which its wrong fields are looked for. That takes
a thousand times as long as to decide whether it fits.
"""
NOT_EXPLAINED = (
    "does not fit the schema of the type, see GET /types; it is too large to look for the wrong fields"
)
MAX_VIOLATIONS = 10
MAX_SHOWN = 200
"""Characters of a description."""


class JsonSchemaValidator(PayloadValidator):
    """See api_server.schema_ports.PayloadValidator."""

    def __init__(self, validator: jsonschema_rs.Draft202012Validator, visits: int) -> None:
        self._validator = validator
        self._max_explained = MAX_EXPLAINED // visits

    def violations(
        self, payload: Mapping[str, Any], size: int, *, explained: bool = True
    ) -> Sequence[Violation]:
        if self._validator.is_valid(payload):
            return ()
        if not explained or size > self._max_explained:
            return [Violation("payload", "schema", NOT_EXPLAINED)]
        found = [each for error in self._validator.iter_errors(payload) for each in _violations(error)]
        return found[:MAX_VIOLATIONS]


def compile_schema(schema: Mapping[str, Any]) -> JsonSchemaValidator:
    """Raises UnusableSchema."""
    visits = SchemaCost(schema).visits()
    try:
        validator = jsonschema_rs.Draft202012Validator(
            dict(schema),
            pattern_options=jsonschema_rs.RegexOptions(size_limit=MAX_PATTERN_BYTES),
            validate_formats=False,
            offline=True,
        )
    except BaseException as error:
        raise UnusableSchema(_short(str(error).partition("\n")[0])) from error
    return JsonSchemaValidator(validator, visits)


def _violations(error: jsonschema_rs.ValidationError) -> Iterator[Violation]:
    keyword, facts, steps = error.kind.name, error.kind.as_dict(), error.instance_path
    match keyword:
        case "required":
            yield Violation(_path([*steps, facts["property"]]), "schema.required", "must be given")
        case "additionalProperties":
            for name in facts["unexpected"]:
                path = _path([*steps, name])
                yield Violation(path, "schema.additionalProperties", "is not a field of this type")
        case _:
            text = DESCRIPTIONS.get(keyword, _as_it_is)(facts, error)
            yield Violation(_path(steps), f"schema.{keyword}", _short(text))


Describe = Callable[[Mapping[str, Any], jsonschema_rs.ValidationError], str]
"""Says what a rule demands and what was found: from the rule's own values and the error."""


def _as_it_is(_facts: Mapping[str, Any], error: jsonschema_rs.ValidationError) -> str:
    return error.message


def _limit(words: str) -> Describe:
    return lambda facts, error: f"must be {words} {facts['limit']}, is {_shown(error.instance)}"


def _size(words: str) -> Describe:
    return lambda facts, error: (
        f"must have {words.format(facts['limit'])}, has {len(cast(Sized, error.instance))}"
    )


def _form(_facts: Mapping[str, Any], error: jsonschema_rs.ValidationError) -> str:
    return f"fits none of the forms that are allowed, is {kind_of(error.instance)}"


DESCRIPTIONS: Mapping[str, Describe] = {
    "type": lambda facts, error: (
        f"must be of type {' or '.join(sorted(facts['types']))}, is {kind_of(error.instance)}"
    ),
    "enum": lambda facts, error: (
        f"must be one of {', '.join(map(repr, facts['options'][:20]))}, is {_shown(error.instance)}"
    ),
    "const": lambda facts, error: f"must be {facts['expected_value']!r}, is {_shown(error.instance)}",
    "pattern": lambda facts, error: f"must match {facts['pattern']}, is {_shown(error.instance)}",
    "minimum": _limit("at least"),
    "exclusiveMinimum": _limit("more than"),
    "maximum": _limit("at most"),
    "exclusiveMaximum": _limit("less than"),
    "minLength": _size("at least {} characters"),
    "maxLength": _size("at most {} characters"),
    "minItems": _size("at least {} items"),
    "maxItems": _size("at most {} items"),
    "minProperties": _size("at least {} fields"),
    "maxProperties": _size("at most {} fields"),
    "anyOf": _form,
    "oneOfNotValid": _form,
    "oneOf": _form,
}


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str | int | float | None) else kind_of(value)


def _path(steps: Sequence[str | int]) -> str:
    return "payload" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _short(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
