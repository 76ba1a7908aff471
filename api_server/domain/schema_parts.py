"""Which parts a JSON Schema (draft 2020-12) has. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any] | bool

ROOT = "#"
DEFINITIONS = "#/$defs/"
IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
IN_PLACE = ("not", "if", "then", "else")
CHILDREN = ("items", "additionalProperties", "contains", "propertyNames")
ANNOTATIONS = frozenset(
    {
        "$comment",
        "$defs",
        "$schema",
        "default",
        "deprecated",
        "description",
        "discriminator",
        "examples",
        "format",
        "readOnly",
        "title",
        "writeOnly",
    }
)
"""Keywords that refuse no value. Formats are not checked: pydantic accepts more than the standards do."""
FORBIDDEN = frozenset(
    {
        "$anchor",
        "$dynamicAnchor",
        "$dynamicRef",
        "$id",
        "$recursiveAnchor",
        "$recursiveRef",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords that change what a reference means, or whose cost cannot be told beforehand."""


class UnusableSchema(ValueError):
    """Payloads cannot be checked against this schema. The text says why."""


def resolved(root: Mapping[str, Any], reference: Any) -> Schema:
    """The part of `root` that a `$ref` names. Raises UnusableSchema unless that is in the schema itself."""
    if reference == ROOT:
        return root
    definitions = root.get("$defs")
    if isinstance(reference, str) and reference.startswith(DEFINITIONS) and isinstance(definitions, Mapping):
        name = reference.removeprefix(DEFINITIONS)
        if "/" not in name and "%" not in name:
            part = definitions.get(name.replace("~1", "/").replace("~0", "~"))
            if isinstance(part, Mapping | bool):
                return part
    raise UnusableSchema(f"$ref must name a definition of the schema itself, is {str(reference)[:100]!r}")


def in_place(part: Mapping[str, Any]) -> Iterator[Schema]:
    """The schemas that `part` applies to the same value, those behind `$ref` excepted."""
    for keyword in IN_PLACE_LISTS:
        yield from _schemas(part.get(keyword))
    for keyword in IN_PLACE:
        yield from _schemas([part.get(keyword)])
    yield from members(part, "dependentSchemas").values()


def members(part: Mapping[str, Any], keyword: str) -> dict[str, Schema]:
    """The schemas in an object such as `properties`, by their names."""
    value = part.get(keyword)
    if not isinstance(value, Mapping):
        return {}
    return {name: each for name, each in value.items() if isinstance(each, Mapping | bool)}


def _schemas(values: Any) -> Iterator[Schema]:
    if isinstance(values, list):
        yield from (each for each in values if isinstance(each, Mapping | bool))


def children(part: Mapping[str, Any]) -> tuple[list[Schema], list[Schema]]:
    """The schemas that `part` applies to the values inside a value.

    Of the first, one at most applies to each of them. Of the second, all may.
    """
    one = [*members(part, "properties").values(), *_schemas(part.get("prefixItems"))]
    one += _schemas([part.get(keyword) for keyword in CHILDREN[:2]])
    every = [*members(part, "patternProperties").values()]
    every += _schemas([part.get(keyword) for keyword in CHILDREN[2:]])
    return one, every
