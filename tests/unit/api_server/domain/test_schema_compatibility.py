"""A newer schema counts only if it accepts what the older one declares."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from api_server.domain.schema_compatibility import narrowing

Schema = dict[str, Any]
TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}


def of(required: tuple[str, ...] = (), **fields: Any) -> Schema:
    return {"type": "object", "properties": fields, "required": list(required)}


def union(*branches: Schema) -> Schema:
    return {"anyOf": list(branches)}


def tagged(*tags: str) -> Schema:
    branches = [{"$ref": f"#/$defs/{tag}"} for tag in tags]
    definitions = {tag: of(("kind",), kind={"const": tag, "type": "string"}, x=NUMBER) for tag in tags}
    return {"$defs": definitions, "oneOf": branches, "discriminator": {"propertyName": "kind"}}


NODE = {"$ref": "#/$defs/node"}
LIST_OF_TEXTS = {"$defs": {"node": of(("text",), text=TEXT, next=union(NODE, {"type": "null"}))}, **NODE}
LIST_OF_ANY = {
    "$defs": {"node": of((), text=union(TEXT, WHOLE), next=union(NODE, {"type": "null"}))},
    **NODE,
}


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (of(("a",), a=TEXT), of((), a=TEXT)),
        (of((), a=TEXT), of((), a=TEXT, b=TEXT)),
        (of((), a=TEXT, b=TEXT), of((), a=TEXT)),
        (of((), a=WHOLE), of((), a=NUMBER)),
        (of((), a=TEXT), of((), a=union(TEXT, {"type": "null"}))),
        (of((), a=TEXT | {"minLength": 3}), of((), a=TEXT | {"minLength": 2})),
        (of((), a=TEXT | {"enum": ["x"]}), of((), a=TEXT | {"enum": ["y", "x"]})),
        (of((), a={"type": "array", "items": WHOLE}), of((), a={"type": "array", "items": NUMBER})),
        (of((), a=TEXT) | {"title": "Old"}, of((), a=TEXT | {"description": "new"})),
        (of((), a=TEXT | {"pattern": "^x"}), of((), a=TEXT | {"pattern": "^x"})),
        (
            {"type": "object", "additionalProperties": WHOLE},
            {"type": "object", "additionalProperties": NUMBER},
        ),
        (LIST_OF_TEXTS, LIST_OF_TEXTS),
        (LIST_OF_TEXTS, LIST_OF_ANY),
        (tagged("a", "b"), tagged("a", "b", "c")),
        (of((), a=TEXT), {}),
    ],
)
def test_a_schema_that_accepts_more_is_compatible(older: Schema, newer: Schema) -> None:
    assert narrowing(newer, older) == ""


@pytest.mark.parametrize(
    ("older", "newer", "problem"),
    [
        (of((), a=TEXT), of(("a",), a=TEXT), "payload.a: is required now"),
        (of(("a",), a=TEXT), of(("a", "b"), a=TEXT, b=TEXT), "payload.b: is required now"),
        (of((), a=NUMBER), of((), a=WHOLE), "payload.a: does not accept the type number any more"),
        (of((), a=of((), b=TEXT)), of((), a=of((), b=WHOLE)), "payload.a.b: does not accept the type string"),
        (
            of((), a=union(TEXT, WHOLE)),
            of((), a=TEXT),
            "payload.a: does not accept the type integer any more",
        ),
        (of((), a=TEXT), of((), a=TEXT | {"minLength": 1}), "payload.a: minLength is 1 now"),
        (of((), a=WHOLE | {"maximum": 9}), of((), a=WHOLE | {"maximum": 8}), "payload.a: maximum is 8 now"),
        (of((), a=TEXT), of((), a=TEXT | {"enum": ["x"]}), "payload.a: accepts only some of the values"),
        (of((), a=TEXT), of((), a=TEXT | {"pattern": "^x"}), "payload.a: pattern differs"),
        (of((), a=TEXT), of(()) | {"additionalProperties": False}, "payload.a: is not accepted any more"),
        (
            of((), a={"type": "array", "items": NUMBER}),
            of((), a={"type": "array", "items": WHOLE}),
            r"payload.a\[\]: does not accept the type number any more",
        ),
        (
            {"type": "object", "additionalProperties": NUMBER},
            of((), a=TEXT),
            "payload.a: does not accept the type integer any more",
        ),
        ({}, of((), a=TEXT), "payload: does not accept the type"),
        ({}, {"oneOf": [{}], "discriminator": "x"}, "payload: the schemas cannot be compared"),
        (LIST_OF_ANY, LIST_OF_TEXTS, "payload.text: "),
        (tagged("a", "b"), tagged("a"), "payload"),
        (of((), a={"type": "boolean", "enum": [True]}), of((), a=WHOLE | {"enum": [1]}), "payload.a: "),
        (
            of((), a={"prefixItems": [TEXT], "items": WHOLE}),
            of((), a={"items": WHOLE}),
            r"payload.a\[\]: does not accept the type",
        ),
    ],
)
def test_a_schema_that_accepts_less_is_not(older: Schema, newer: Schema, problem: str) -> None:
    assert jsonschema_rs.Draft202012Validator(newer)
    found = narrowing(newer, older)
    assert found.startswith(problem.replace("\\", "")), found


NAMES = st.sampled_from("abc")
VALUES = st.sampled_from([None, True, False, 0, 1, 2, 5, 1.5, "", "x", "xyz"])
BOUNDS = st.integers(0, 4)


@st.composite
def schemas(draw: DrawFn, depth: int = 2) -> Schema:  # noqa: PLR0911 - one for each kind
    kind = draw(
        st.sampled_from(["text", "number", "values", "any", *(["object", "list", "union"] * bool(depth))])
    )
    inner = schemas(depth - 1)
    match kind:
        case "text":
            keywords = draw(st.dictionaries(st.sampled_from(["minLength", "maxLength"]), BOUNDS))
            return {"type": "string", **keywords}
        case "number":
            keywords = draw(
                st.dictionaries(st.sampled_from(["minimum", "maximum", "exclusiveMaximum"]), BOUNDS)
            )
            return {"type": draw(st.sampled_from(["integer", "number", ["integer", "null"]])), **keywords}
        case "values":
            return {"enum": draw(st.lists(VALUES, min_size=1, max_size=3))}
        case "object":
            fields = draw(st.dictionaries(NAMES, inner, max_size=3))
            required = draw(st.lists(NAMES, unique=True, max_size=2))
            found: Schema = {"type": "object", "properties": fields, "required": required}
            others = draw(st.sampled_from(["none", "none", True, False]) | inner)
            return found if others == "none" else found | {"additionalProperties": others}
        case "list":
            keywords = draw(st.dictionaries(st.sampled_from(["minItems", "maxItems"]), BOUNDS))
            return {"type": "array", "items": draw(inner), **keywords}
        case "union":
            return {"anyOf": draw(st.lists(inner, min_size=1, max_size=3))}
        case _:
            return {}


@st.composite
def changed(draw: DrawFn, part: Any) -> Any:
    """The same schema with a few parts changed, so that many pairs are compatible."""
    if isinstance(part, dict):
        part = {key: draw(changed(value)) for key, value in part.items()}
        if "type" in part:
            match draw(st.integers(0, 9)):
                case 0:
                    return {"anyOf": [part, draw(schemas(1))]}
                case 1:
                    return draw(schemas(1))
                case 2 if part:
                    part.pop(draw(st.sampled_from(sorted(part))))
        return part
    if isinstance(part, list):
        return [draw(changed(each)) for each in part]
    if type(part) is int:
        return max(0, part + draw(st.sampled_from([0, 0, 0, -1, 1])))
    return part


@st.composite
def payloads(draw: DrawFn, schema: Any) -> Any:  # noqa: PLR0911 - one for each kind
    """A value that may fit the schema, and has only fields that it declares."""
    if schema is True or schema == {}:
        return draw(VALUES | st.lists(VALUES, max_size=2) | st.dictionaries(NAMES, VALUES, max_size=2))
    if "anyOf" in schema:
        return draw(payloads(draw(st.sampled_from(schema["anyOf"]))))
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    match schema.get("type"):
        case "object":
            fields = dict(schema.get("properties", {}))
            others = schema.get("additionalProperties", False)
            if others is not False:
                fields = dict.fromkeys("abc", others) | fields
            names = [name for name in fields if name in schema.get("required", ()) or draw(st.booleans())]
            return {name: draw(payloads(fields[name])) for name in names if fields[name] is not False}
        case "array":
            item = payloads(schema.get("items", True))
            return draw(st.lists(item, min_size=schema.get("minItems", 0), max_size=5))
        case "string":
            return "x" * draw(st.integers(0, 5))
    return draw(VALUES)


@given(st.data())
def test_what_fits_the_older_schema_fits_a_compatible_newer_one(data: st.DataObject) -> None:
    older = data.draw(schemas())
    newer = data.draw(changed(older))
    problem = narrowing(newer, older)
    event("compatible" if not problem else "not compatible")
    assume(not problem)
    payload = data.draw(payloads(older))
    assume(jsonschema_rs.Draft202012Validator(older).is_valid(payload))
    event("a payload was compared")
    assert jsonschema_rs.Draft202012Validator(newer).is_valid(payload)


@given(schemas())
def test_every_schema_accepts_what_it_accepts_itself(schema: Schema) -> None:
    assert narrowing(schema, schema) == ""
