"""Payloads are checked against a schema: each problem has its path. A hostile schema is refused."""

import time
from typing import Any

import pytest

from api_server.adapters.json_schema import (
    MAX_EXPLAINED,
    MAX_SHOWN,
    MAX_VIOLATIONS,
    NOT_EXPLAINED,
    compile_schema,
)
from api_server.domain.schema_parts import UnusableSchema
from contract_runtime.structs import dict_to_struct

SIZE = {
    "type": "object",
    "properties": {"width": {"type": "integer", "minimum": 1}, "height": {"type": ["integer", "null"]}},
    "required": ["width", "height"],
    "additionalProperties": False,
}
SCHEMA = {
    "$defs": {"Size": SIZE},
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": 20, "pattern": "^https?://"},
        "size": {"$ref": "#/$defs/Size"},
        "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
        "mode": {"enum": ["fit", "fill"]},
        "made_on": {"type": "string", "format": "date"},
    },
    "required": ["url"],
}


def found(payload: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> list[tuple[str, str, str]]:
    size = dict_to_struct(payload).ByteSize()
    violations = compile_schema(schema).violations(payload, size)
    return [(each.field, each.rule, each.description) for each in violations]


@pytest.mark.parametrize(
    "payload",
    [
        {"url": "http://a"},
        {"url": "http://a", "size": {"width": 3.0, "height": None}, "more": {"x": 1}},
        # A format says how a text is meant. The handler decides what it takes.
        {"url": "http://a", "made_on": "yesterday"},
    ],
)
def test_a_payload_that_fits_has_no_violation(payload: dict[str, Any]) -> None:
    assert found(payload) == []


@pytest.mark.parametrize(
    ("payload", "violations"),
    [
        ({}, [("payload.url", "schema.required", "must be given")]),
        (
            {"url": 7, "tags": ["a", None]},
            [
                ("payload.tags[1]", "schema.type", "must be of type string, is null"),
                ("payload.url", "schema.type", "must be of type string, is a number"),
            ],
        ),
        (
            {"url": "http://a", "size": {"width": 0, "depth": 1}},
            [
                ("payload.size.depth", "schema.additionalProperties", "is not a field of this type"),
                ("payload.size.height", "schema.required", "must be given"),
                ("payload.size.width", "schema.minimum", "must be at least 1, is 0"),
            ],
        ),
        (
            {"url": "http://a", "mode": "crop"},
            [("payload.mode", "schema.enum", "must be one of 'fit', 'fill', is 'crop'")],
        ),
        (
            {"url": "ftp://aaaaaaaaaaaaaaaaaaaaaaaa"},
            [
                ("payload.url", "schema.maxLength", "must have at most 20 characters, has 30"),
                (
                    "payload.url",
                    "schema.pattern",
                    "must match ^https?://, is 'ftp://aaaaaaaaaaaaaaaaaaaaaaaa'",
                ),
            ],
        ),
        (
            {"url": "http://a", "size": {"width": 1, "height": "x"}},
            [("payload.size.height", "schema.type", "must be of type integer or null, is a string")],
        ),
    ],
)
def test_each_violation_has_a_path_a_rule_and_what_is_wrong(
    payload: dict[str, Any], violations: list[tuple[str, str, str]]
) -> None:
    assert sorted(found(payload)) == violations


def test_ten_violations_are_named_at_most() -> None:
    for count in (MAX_VIOLATIONS, MAX_VIOLATIONS + 1):
        assert len(found({"url": "http://a", "tags": [0] * count})) == MAX_VIOLATIONS


def test_a_description_is_short() -> None:
    [(_, _, text)] = found({"a": "x" * 1000}, {"properties": {"a": {"const": "y" * 1000}}})
    assert len(text) == MAX_SHOWN


def test_a_large_payload_is_refused_without_a_search_for_its_wrong_fields() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}
    validator = compile_schema(schema)
    payload = {"a": [1]}
    assert validator.violations(payload, MAX_EXPLAINED)[0].field == "payload.a[0]"
    [violation] = validator.violations(payload, MAX_EXPLAINED + 1)
    assert violation == ("payload", "schema", NOT_EXPLAINED)
    assert validator.violations(payload, 5, explained=False) == [violation]
    assert validator.violations({"a": ["x"]}, 5, explained=False) == ()
    started = time.monotonic()
    assert validator.violations({"a": [1] * 90_000}, 1024 * 1024)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"$ref": "http://127.0.0.1:1/schema"}, "must name a definition of the schema itself"),
        ({"$ref": "file:///etc/passwd"}, "must name a definition of the schema itself"),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "regex"),
        ({"properties": {"a": {"pattern": "(a{1000}){1000}"}}}, "regex"),
        ({"properties": {"a": {"type": "text"}}}, "not valid under any of the schemas"),
        ({"properties": [1]}, "not of type"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any], problem: str) -> None:
    with pytest.raises(UnusableSchema, match=problem):
        compile_schema(schema)


def test_a_reference_that_is_not_reached_is_never_fetched() -> None:
    schema = {"$defs": {"a": {"$ref": "http://127.0.0.1:1/schema"}}, "type": "object"}
    with pytest.raises(UnusableSchema, match="Retrieval is disabled"):
        compile_schema(schema)


def test_a_pattern_takes_linear_time() -> None:
    validator = compile_schema({"properties": {"a": {"pattern": "^(a+)+$"}}})
    started = time.monotonic()
    assert validator.violations({"a": "a" * 5000 + "b"}, 5010)
    assert time.monotonic() - started < 1
