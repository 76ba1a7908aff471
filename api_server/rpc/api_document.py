"""Makes the API document: the contract's, with the schemas that payloads are checked against at present."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from api_server.domain.inlined_schema import inlined
from api_server.domain.schema_parts import UnusableSchema
from api_server.services.payload_schemas import PayloadSchemas

Json = dict[str, Any]
JSON_TYPE = "application/json"
MAX_SCHEMA = 64 * 1024
"""Bytes of one schema in the document, where it has no references. Each of its parts counts 100 more."""
MAX_SCHEMAS = 512 * 1024
"""Of all schemas in the document, counted in the same way."""
MAX_NAMED = 20
"""How many types without a schema the document names."""


class Document(NamedTuple):
    content: bytes
    tag: str
    """Its entity tag, which is weak, because the gateway may compress an answer."""


class ApiDocument:
    """Keeps the latest document until a schema changes."""

    def __init__(self, schemas: PayloadSchemas) -> None:
        self._schemas = schemas
        self._latest: tuple[Mapping[str, Any], Document] | None = None
        self._making = asyncio.Lock()

    async def get(self) -> Document:
        async with self._making:
            schemas = self._schemas.checked
            if self._latest is None or self._latest[0] is not schemas:
                self._latest = schemas, await asyncio.to_thread(_document, schemas)
            return self._latest[1]


def contract_document() -> bytes:
    """The document that gateway/openapi has written, which is installed with the stubs."""
    return files("job_client._gen").joinpath("openapi.json").read_bytes()


def with_schemas(document: bytes, schemas: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The contract's document with the schemas of payloads, by type. Without any it is as it was.

    A type without a schema keeps any object as its payload.
    """
    if not schemas:
        return document
    changed: Json = json.loads(document)
    shown, left_out = _that_fit(schemas)
    components = changed["components"]["schemas"]
    components.update({_name(job_type): schema for job_type, schema in shown.items()})
    request = components["CreateRequest"]
    request.setdefault("allOf", []).extend(map(_rule, shown))
    payload = request["properties"]["payload"]
    payload["description"] = "\n\n".join([payload["description"], *_sentences(shown, left_out)])
    if shown:
        others = {"title": "Payload of another type", "type": "object"}
        payload["anyOf"] = [*map(_reference, shown), others]
    return json.dumps(changed, separators=(",", ":")).encode()


def _document(schemas: Mapping[str, Mapping[str, Any]]) -> Document:
    content = with_schemas(contract_document(), schemas)
    return Document(content, f'W/"{hashlib.sha256(content).hexdigest()[:16]}"')


def _that_fit(schemas: Mapping[str, Mapping[str, Any]]) -> tuple[Mapping[str, Json], list[str]]:
    """The schemas as components, by type, and the types whose schemas the document cannot have."""
    shown: dict[str, Json] = {}
    left_out = []
    left = MAX_SCHEMAS
    for job_type, schema in sorted(schemas.items()):
        try:
            written = inlined(schema, min(left, MAX_SCHEMA))
        except UnusableSchema:
            left_out.append(job_type)
            continue
        left -= written.size
        shown[job_type] = _component(job_type, written.schema)
    return shown, left_out


def _component(job_type: str, schema: Json) -> Json:
    component = {**schema, "title": f"Payload of {job_type}"}
    if "allOf" in component and "required" in component:
        # Beside allOf, readers of OpenAPI want each required field among the properties.
        component["allOf"] = [*component["allOf"], {"required": component.pop("required")}]
    return component


def _name(job_type: str) -> str:
    return f"Payload.{job_type}"


def _reference(job_type: str) -> Json:
    return {"$ref": f"#/components/schemas/{_name(job_type)}"}


def _rule(job_type: str) -> Json:
    """For CreateRequest. Readers that ignore it still find the schema among those of `payload`."""
    return {
        "if": {"properties": {"type": {"const": job_type}}, "required": ["type"]},
        "then": {"properties": {"payload": _reference(job_type)}},
    }


def _sentences(shown: Mapping[str, Json], left_out: list[str]) -> list[str]:
    sentences = []
    if shown:
        sentences.append(
            f"The schema `{_name('TYPE')}` is for payloads of the type TYPE. If a type has none here, "
            "any object fits."
        )
    if left_out:
        names = ", ".join(f"`{each}`" for each in left_out[:MAX_NAMED])
        more = f" and {len(left_out) - MAX_NAMED} more types" if len(left_out) > MAX_NAMED else ""
        sentences.append(
            f"Payloads of {names}{more} are checked too, but their schemas do not fit into this document. "
            "`GET /types` may have them."
        )
    return sentences
