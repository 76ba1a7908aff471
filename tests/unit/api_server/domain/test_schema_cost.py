"""A schema whose check could take long is refused before it is used."""

from typing import Any

import pytest

from api_server.domain.schema_cost import MAX_VISITS, SchemaCost
from api_server.domain.schema_parts import UnusableSchema

NODE: dict[str, Any] = {"$ref": "#/$defs/node"}


def visits(schema: dict[str, Any]) -> int:
    return SchemaCost(schema).visits()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, 1),
        ({"properties": {"a": {"type": "string"}, "b": {"items": {"type": "integer"}}}}, 1),
        ({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}, 3),
        ({"$defs": {"node": {"properties": {"next": NODE}}}, "properties": {"first": NODE}}, 2),
        ({"patternProperties": {"^a": {}, "^b": {}}, "properties": {"a": {}}}, 3),
        ({"properties": {"a": {"properties": {"b": True}}}, "additionalProperties": False}, 1),
    ],
)
def test_the_visits_are_counted(schema: dict[str, Any], expected: int) -> None:
    assert visits(schema) == expected


def test_as_many_visits_as_allowed_are_accepted_and_one_more_is_not() -> None:
    assert visits({"allOf": [{}] * (MAX_VISITS - 1)}) == MAX_VISITS
    with pytest.raises(UnusableSchema, match=f"one value more than {MAX_VISITS} times"):
        visits({"allOf": [{}] * MAX_VISITS})


def both(name: str) -> dict[str, Any]:
    return {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"$ref": f"#/$defs/{name}"}]}


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        # Twice as many with each definition, for the same value.
        ({"$defs": {f"a{n}": both(f"a{n + 1}") for n in range(40)} | {"a40": {}}, **both("a0")}, "more than"),
        # Twice as many with each level of the payload.
        (
            {
                "$defs": {"node": {"anyOf": [{"properties": {"x": NODE}}, {"properties": {"x": NODE}}]}},
                **NODE,
            },
            "more than",
        ),
        ({"$defs": {"node": NODE}, **NODE}, "a \\$ref leads back to itself"),
        ({"$defs": {"node": {"allOf": [NODE]}}, **NODE}, "a \\$ref leads back to itself"),
        ({"$ref": "#"}, "a \\$ref leads back to itself"),
        ({"$ref": "http://127.0.0.1/schema"}, "\\$ref must name a definition of the schema itself"),
        ({"$ref": "#/$defs/none"}, "\\$ref must name a definition of the schema itself"),
        ({"$ref": "#/properties/a", "properties": {"a": {}}}, "must name a definition"),
        ({"$ref": 7}, "must name a definition"),
        ({"properties": {"a": {"$dynamicRef": "#a"}}}, "the keyword \\$dynamicRef is not supported"),
        ({"$id": "http://a/b"}, "the keyword \\$id is not supported"),
        ({"unevaluatedProperties": False}, "the keyword unevaluatedProperties is not supported"),
        (
            {"$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(1500)}, "$ref": "#/$defs/a0"},
            "more than",
        ),
    ],
)
def test_a_hostile_schema_is_refused_at_once(schema: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnusableSchema, match=problem):
        visits(schema)
