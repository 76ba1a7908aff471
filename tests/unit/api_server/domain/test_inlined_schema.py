"""A schema without references means the same, and has nothing that readers of OpenAPI stumble over."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from api_server.adapters.json_schema import compile_schema
from api_server.domain.inlined_schema import MAX_DEPTH, inlined
from api_server.domain.schema_parts import UnusableSchema

MANY = 100_000
NAMES = st.sampled_from(["a", "b", "$id", "__proto__", "a/b", "</script>"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
LEAVES = st.one_of(
    st.booleans(),
    st.sampled_from(["a", "b"]).map(lambda name: {"$ref": f"#/$defs/{name}"}),
    st.builds(lambda value: {"const": value}, VALUES),
    st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=2, unique_by=repr)),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(["object", "array", "string", "integer", "null"])),
    st.builds(lambda names: {"required": names}, st.lists(NAMES, max_size=2, unique=True)),
    st.builds(lambda value: {"default": value, "examples": [value], "x-other": value}, VALUES),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        *(
            st.builds(
                lambda keyword, parts: {keyword: parts},
                st.just(each),
                st.lists(inner, min_size=1, max_size=2),
            )
            for each in ("allOf", "anyOf", "oneOf", "prefixItems")
        ),
        st.builds(
            lambda keyword, part: {keyword: part}, st.sampled_from(["not", "items", "contains"]), inner
        ),
        st.builds(
            lambda names, rest: {"properties": names, "additionalProperties": rest},
            st.dictionaries(NAMES, inner, max_size=2),
            inner,
        ),
        st.builds(
            lambda reference, part: {**part, **reference} if isinstance(part, dict) else reference,
            st.just({"$ref": "#/$defs/a"}),
            inner,
        ),
    ),
    max_leaves=8,
)


def result_of(schema: dict[str, Any]) -> dict[str, Any]:
    found = inlined(schema, MANY)
    assert len(json.dumps(found.schema)) <= found.size <= MANY
    return found.schema


@given(SCHEMAS, st.fixed_dictionaries({"a": LEAVES, "b": LEAVES}), st.lists(VALUES, max_size=8))
def test_it_accepts_the_same_values_without_references(
    part: Any, definitions: dict[str, Any], values: list[Any]
) -> None:
    schema = {"properties": {"it": part}, "$defs": definitions}
    try:
        compile_schema(schema)
        written = result_of(schema)
    except UnusableSchema:
        return

    assert '"$ref"' not in json.dumps(written)
    before, after = compile_schema(schema), compile_schema(written)
    for value in values:
        payload = {"it": value}
        assert bool(before.violations(payload, 9)) == bool(after.violations(payload, 9))
    Draft202012Validator.check_schema(written)


def test_what_a_reference_names_stands_in_its_place() -> None:
    size = {"type": "object", "title": "Size", "properties": {"width": {"type": "integer"}}}
    schema = {
        "properties": {
            "plain": {"$ref": "#/$defs/a~1b"},
            "described": {"$ref": "#/$defs/a~1b", "description": "How large"},
            "limited": {"$ref": "#/$defs/a~1b", "required": ["width"]},
        },
        "$defs": {"a/b": size},
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "definitions": {"unused": {}},
    }

    assert result_of(schema) == {
        "properties": {
            "plain": size,
            "described": {**size, "description": "How large"},
            "limited": {"required": ["width"], "allOf": [size]},
        }
    }


def test_annotations_become_text() -> None:
    schema = {
        "title": "<b>",
        "description": "a < b && <img src=x onerror=alert(1)>",
        "default": {"$ref": "</script>"},
        "examples": [{"$ref": "http://evil.example"}],
        "discriminator": {"propertyName": "a", "mapping": {"b": "#/$defs/B"}},
        "$comment": "x",
    }

    assert result_of(schema) == {
        "title": "&lt;b>",
        "description": "a &lt; b &amp;&amp; &lt;img src=x onerror=alert(1)>\n\n"
        'Default: {"$ref": "&lt;/script>"}',
    }
    assert len(result_of({"default": "x" * 500})["description"]) == len("Default: ") + 100


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"child": {"$ref": "#"}}},
        {"properties": {"child": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"items": {"$ref": "#/$defs/A"}}}},
        {"$ref": "http://evil.example/schema"},
        {"$ref": "/jobs"},
        {"$ref": "#/paths"},
        {"properties": {"$ref": {"type": "string"}}},
        {"patternProperties": {"$ref": True}},
        {"const": {"a": [{"$ref": "#/x"}]}},
        {"enum": [[{"$ref": "#/x"}]]},
        {"dependentRequired": {"$ref": ["a"]}},
    ],
)
def test_a_schema_that_leads_elsewhere_or_to_itself_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(UnusableSchema):
        result_of(schema)


def doubling(levels: int) -> dict[str, Any]:
    """Has 2 ** levels parts without references."""
    definitions: dict[str, Any] = {"0": {"type": "string"}}
    for level in range(levels):
        both = {"$ref": f"#/$defs/{level}"}
        definitions[str(level + 1)] = {"properties": {"a": both, "b": both}}
    return {"$ref": f"#/$defs/{levels}", "$defs": definitions}


def test_a_small_schema_that_would_become_large_is_refused() -> None:
    assert result_of(doubling(7))
    with pytest.raises(UnusableSchema, match="too large without references"):
        result_of(doubling(31))


def chain(length: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {"0": {"type": "string"}}
    for level in range(1, length):
        definitions[str(level)] = {"properties": {"a": {"$ref": f"#/$defs/{level - 1}"}}}
    return {"$defs": definitions, "$ref": f"#/$defs/{length - 1}"}


def test_a_long_chain_of_references_is_refused() -> None:
    # Each link has two parts: that with the reference, and that which it names.
    assert result_of(chain(MAX_DEPTH // 2))
    with pytest.raises(UnusableSchema, match="nested too deep"):
        result_of(chain(MAX_DEPTH // 2 + 1))
    with pytest.raises(UnusableSchema, match="nested too deep"):
        result_of(chain(1500))
