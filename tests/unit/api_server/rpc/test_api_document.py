"""The API document with the schemas of payloads, also with those of a hostile worker."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api_server.adapters.json_schema import compile_schema
from api_server.domain.handler_schema import HandlerSchema
from api_server.domain.inlined_schema import PART
from api_server.rpc.api_document import (
    MAX_NAMED,
    MAX_SCHEMA,
    MAX_SCHEMAS,
    ApiDocument,
    contract_document,
    with_schemas,
)
from api_server.services.payload_schemas import PayloadSchemas
from tests.document_schemas import errors_in
from tests.unit.api_server.rpc.hostile_schemas import LEFT_OUT_HOSTILE, SHOWN_HOSTILE

CONTRACT = contract_document()
CREATE = {"$ref": "#/components/schemas/CreateRequest"}
THUMBNAIL: dict[str, Any] = {
    "type": "object",
    "title": "ThumbnailRequest",
    "properties": {"url": {"type": "string"}, "size": {"$ref": "#/$defs/Size"}},
    "required": ["url"],
    "$defs": {"Size": {"type": "integer", "default": "large"}},
}


def document(schemas: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(with_schemas(CONTRACT, schemas))
    return found


def shown(found: Mapping[str, Any]) -> set[str]:
    names = found["components"]["schemas"]
    return {name.removeprefix("Payload.") for name in names if name.startswith("Payload.")}


def description(found: Mapping[str, Any]) -> str:
    text: str = found["components"]["schemas"]["CreateRequest"]["properties"]["payload"]["description"]
    return text


def test_without_schemas_the_document_is_that_of_the_contract() -> None:
    assert with_schemas(CONTRACT, {}) is CONTRACT


def test_each_type_with_a_schema_has_it_in_the_bodies_of_create_and_batch_create() -> None:
    found = document({"thumbnail": THUMBNAIL, "resize": {"required": ["a"]}})

    OpenAPIV31SpecValidator(found).validate()
    assert shown(found) == {"thumbnail", "resize"}
    assert found["components"]["schemas"]["Payload.thumbnail"]["title"] == "Payload of thumbnail"
    for schema, wrapped in (
        (CREATE, lambda body: body),
        ({"$ref": "#/components/schemas/BatchCreateRequest"}, lambda body: {"requests": [body]}),
    ):
        for fits, job_type, payload in (
            (True, "compute", {}),
            (True, "compute", {"url": 5}),
            (True, "thumbnail", {"url": "x", "size": 3}),
            (False, "thumbnail", {}),
            (False, "thumbnail", {"url": "x", "size": "large"}),
            (True, "resize", {"a": 1}),
            (False, "resize", {"url": "x"}),
        ):
            errors = errors_in(found, schema, wrapped({"type": job_type, "payload": payload}))
            assert (errors == []) is fits
    # Readers that ignore conditions find the schemas at the payload.
    forms = found["components"]["schemas"]["CreateRequest"]["properties"]["payload"]["anyOf"]
    assert [each.get("$ref", each.get("title")) for each in forms] == [
        "#/components/schemas/Payload.resize",
        "#/components/schemas/Payload.thumbnail",
        "Payload of another type",
    ]
    assert "`Payload.TYPE`" in description(found)


def test_hostile_schemas_leave_the_document_valid() -> None:
    found = document({**SHOWN_HOSTILE, **LEFT_OUT_HOSTILE, "thumbnail": THUMBNAIL})

    OpenAPIV31SpecValidator(found).validate()
    assert shown(found) == {*SHOWN_HOSTILE, "thumbnail"}
    assert all(f"`{each}`" in description(found) for each in LEFT_OUT_HOSTILE)
    assert "evil.example" not in json.dumps(found)
    assert errors_in(found, CREATE, {"type": "itself", "payload": {"a": 5}}) == []


def of_size(size: int) -> dict[str, Any]:
    usual = PART + len(json.dumps({"description": ""}))
    return {"description": "x" * (size - usual)}


def test_a_schema_at_the_limit_is_shown_and_a_larger_one_is_not() -> None:
    assert shown(document({"x": of_size(MAX_SCHEMA)})) == {"x"}
    found = document({"x": of_size(MAX_SCHEMA + 1), "y": {}})
    assert shown(found) == {"y"}
    assert "Payloads of `x` are checked too" in description(found)


def test_all_schemas_together_have_a_limit() -> None:
    count = MAX_SCHEMAS // MAX_SCHEMA
    types = [chr(ord("a") + each) for each in range(count + 1)]
    largest = dict.fromkeys(types[:-1], of_size(MAX_SCHEMA))

    assert shown(document(largest)) == set(types[:-1])
    found = document({**largest, types[-1]: {}})
    assert shown(found) == set(types[:-1])
    assert f"`{types[-1]}`" in description(found)


def test_of_many_types_without_a_schema_some_are_named() -> None:
    found = document({f"t-{each:03}": {"$ref": "#"} for each in range(MAX_NAMED + 2)})

    assert f"`t-{MAX_NAMED - 1:03}` and 2 more types are checked too" in description(found)
    assert "anyOf" not in found["components"]["schemas"]["CreateRequest"]["properties"]["payload"]


class Store:
    def __init__(self, *schemas: HandlerSchema) -> None:
        self._schemas = schemas

    async def add(self, schemas: Any) -> None:
        raise NotImplementedError

    async def read(self, ids: Any) -> list[HandlerSchema]:
        return [each for each in self._schemas if each.id in ids]


async def test_the_document_is_made_again_only_when_schemas_change(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counting(base: bytes, schemas: Mapping[str, Any]) -> bytes:
        made.append(len(schemas))
        return with_schemas(base, schemas)

    monkeypatch.setattr("api_server.rpc.api_document.with_schemas", counting)
    usable = HandlerSchema("thumbnail", json.dumps(THUMBNAIL), "")
    unusable = HandlerSchema("remote", '{"$ref": "http://evil.example"}', "")
    only_result = HandlerSchema("told", "", '{"type": "object"}')
    schemas = PayloadSchemas(Store(usable, unusable, only_result), compile_schema)
    served = ApiDocument(schemas)

    first, again = await asyncio.gather(served.get(), served.get())
    assert first is again
    assert first.content == CONTRACT
    await schemas.learn({each.type: {each.id} for each in (usable, unusable, only_result)})
    second = await served.get()
    assert second.tag != first.tag
    # Payloads of the others are not checked.
    assert shown(json.loads(second.content)) == {"thumbnail"}
    await schemas.learn({each.type: {each.id} for each in (usable, unusable, only_result)})
    assert await served.get() is second
    await schemas.learn({})
    assert await served.get() == first
    assert made == [0, 1, 0]
