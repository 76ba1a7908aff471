"""Messages as schemas: the types of proto3's JSON mapping, rules, and requests apart from responses."""

from pathlib import Path
from typing import Any

import pytest

from gateway.openapi.comments import comments_of
from gateway.openapi.schemas import Schemas
from tests.unit.gateway.openapi.made_up import compiled, message

INT32 = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}


def schemas_of(folder: Path, text: str, name: str = "Thing") -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of a message in a request and in a response."""
    descriptors = compiled(folder, text)
    schemas = Schemas(comments_of(descriptors), renamed={"google.protobuf.Any": "Detail"})
    for_request = schemas.body(message(descriptors, name))["$ref"].rpartition("/")[2]
    for_response = schemas.response(message(descriptors, name))["$ref"].rpartition("/")[2]
    assert (for_request, for_response) == (f"{name}Input", name)
    return schemas.components[for_request], schemas.components[for_response]


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("string f = 1;", {"type": "string"}),
        ("bool f = 1;", {"type": "boolean"}),
        ("bytes f = 1;", {"type": "string", "contentEncoding": "base64"}),
        ("double f = 1;", {"type": "number", "format": "double"}),
        ("float f = 1;", {"type": "number", "format": "float"}),
        ("int32 f = 1;", INT32),
        ("uint32 f = 1;", {"type": "integer", "format": "int64", "minimum": 0, "maximum": 2**32 - 1}),
        ("int64 f = 1;", {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}),
        ("fixed64 f = 1;", {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}),
        ("repeated int32 f = 1;", {"type": "array", "items": INT32}),
        ("map<string, bool> f = 1;", {"type": "object", "additionalProperties": {"type": "boolean"}}),
        ("google.protobuf.Timestamp f = 1;", {"type": "string", "format": "date-time"}),
        (
            "google.protobuf.Duration f = 1;",
            {"type": "string", "pattern": r"^-?[0-9]{1,11}(\.[0-9]{1,9})?s$"},
        ),
        ("google.protobuf.FieldMask f = 1;", {"type": "string"}),
        ("google.protobuf.Struct f = 1;", {"type": "object"}),
        ("google.protobuf.Value f = 1;", {}),
        ("google.protobuf.ListValue f = 1;", {"type": "array"}),
        ("google.protobuf.Any f = 1;", {"$ref": "#/components/schemas/Detail"}),
    ],
)
def test_each_type_has_the_schema_of_its_json(
    tmp_path: Path, declared: str, expected: dict[str, Any]
) -> None:
    for schema in schemas_of(tmp_path, f"message Thing {{ {declared} }}"):
        assert schema["properties"] == {"f": expected}


def test_an_enum_is_a_component_with_the_comments_of_its_values(tmp_path: Path) -> None:
    text = """
        message Thing { Colour f = 1; Colour g = 2 [(buf.validate.field).enum.not_in = 0]; }
        // A colour.
        enum Colour {
          none = 0;
          // Like the
          // sky.
          blue = 1;
        }"""
    descriptors = compiled(tmp_path, text)
    schemas = Schemas(comments_of(descriptors), renamed={})
    schemas.response(message(descriptors, "Thing"))

    assert schemas.components["Colour"] == {
        "type": "string",
        "enum": ["none", "blue"],
        "description": "A colour.\n\n- `none`\n- `blue`: Like the sky.",
    }
    assert schemas.components["Thing"]["properties"] == {
        "f": {"$ref": "#/components/schemas/Colour"},
        "g": {"type": "string", "enum": ["blue"], "description": "- `blue`: Like the sky."},
    }


@pytest.mark.parametrize(
    ("kind", "rules", "keywords", "required"),
    [
        ("string", "string.min_len = 1", {"minLength": 1}, True),
        ("string", "string.max_len = 9", {"maxLength": 9}, False),
        ("string", 'string.pattern = "^a*$"', {"pattern": "^a*$"}, False),
        ("string", 'string.pattern = "^a+$"', {"pattern": "^a+$"}, True),
        ("string", "string.uuid = true", {"format": "uuid"}, True),
        ("string", 'cel = {id: "a", expression: "this.matches(\'^a+$\')"}', {"pattern": "^a+$"}, True),
        ("string", 'cel = {id: "a", expression: "this.matches(r\'^\\\\d$\')"}', {"pattern": r"^\d$"}, True),
        ("string", 'cel = {id: "a", expression: "this != \'x\'"}', {}, False),
        ("string", "required = true", {}, True),
        ("int32", "int32.gte = 0", {"minimum": 0}, False),
        ("int32", "int32 = {gt: 1, lt: 9}", {"exclusiveMinimum": 1, "exclusiveMaximum": 9}, True),
        ("int32", "int32 = {gte: 1, lte: 9}", {"minimum": 1, "maximum": 9}, True),
        ("optional int32", "int32.gte = 1", {"minimum": 1}, False),
        ("double", "double = {lte: 1, finite: true}", {"maximum": 1.0}, False),
        ("optional bool", "bool.const = true", {"const": True}, False),
        ("repeated bool", "repeated = {min_items: 1, max_items: 2}", {"minItems": 1, "maxItems": 2}, True),
        ("repeated bool", "repeated.unique = true", {"uniqueItems": True}, False),
        ("map<string, bool>", "map.max_pairs = 3", {"maxProperties": 3}, False),
        ("map<string, bool>", "map.keys.string.min_len = 1", {"propertyNames": {"minLength": 1}}, False),
        (
            "google.protobuf.Duration",
            "duration = {gte: {nanos: 10000000}, lte: {seconds: 60}}",
            {"x-minimum": "0.010s", "x-maximum": "60s", "pattern": r"^[0-9]{1,2}(\.[0-9]{1,9})?s$"},
            False,
        ),
        ("google.protobuf.Struct", "required = true", {}, True),
    ],
)
def test_each_rule_has_its_keyword(
    tmp_path: Path, kind: str, rules: str, keywords: dict[str, Any], required: bool
) -> None:
    text = f"message Thing {{ {kind} f = 1 [(buf.validate.field).{rules}]; }}"
    request, response = schemas_of(tmp_path, text)

    for schema in (request, response):
        found = schema["properties"]["f"]
        assert found | keywords == found
        assert found.keys() <= keywords.keys() | {
            "type",
            "format",
            "minimum",
            "maximum",
            "items",
            "pattern",
        } | {"additionalProperties"}
    assert request.get("required", []) == (["f"] if required else [])


def test_rules_that_an_empty_value_may_break_are_those_of_requests_only(tmp_path: Path) -> None:
    request, response = schemas_of(
        tmp_path,
        """message Thing { string f = 1 [
            (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE, (buf.validate.field).string.uuid = true
        ]; }""",
    )

    assert request["properties"]["f"] == {"type": "string", "format": "uuid"}
    assert "required" not in request
    assert response["properties"]["f"] == {"type": "string"}


def test_a_rule_without_a_keyword_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"made\.v1\.Thing\.f: the rule prefix has no keyword"):
        schemas_of(tmp_path, 'message Thing { string f = 1 [(buf.validate.field).string.prefix = "a"]; }')


def test_a_response_has_all_that_is_printed_and_a_request_nothing_else(tmp_path: Path) -> None:
    request, response = schemas_of(
        tmp_path,
        """message Thing {
            string is_plain = 1;
            repeated string many = 2;
            map<string, string> named = 3;
            optional string may_lack = 4;
            Thing inner = 5;
            oneof either { string first = 6; string second = 7; }
        }""",
    )

    assert response["required"] == ["isPlain", "many", "named"]
    assert "additionalProperties" not in response
    assert "allOf" not in response
    assert "required" not in request
    assert request["additionalProperties"] is False
    assert request["allOf"] == [{"not": {"required": ["first", "second"]}}]
    assert request["properties"]["inner"] == {"$ref": "#/components/schemas/ThingInput"}


def test_rules_of_a_whole_message_are_in_words(tmp_path: Path) -> None:
    request, response = schemas_of(
        tmp_path,
        """
        // A thing.
        message Thing {
          option (buf.validate.message).cel = {id: "a", message: "must be big", expression: "this.f > 9"};
          int32 f = 1;
        }""",
    )

    assert request["description"] == "A thing.\n\nRule: must be big."
    assert response["description"] == "A thing."
