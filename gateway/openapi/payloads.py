"""The place where the payloads of each job type get a schema of their own."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

Json = dict[str, Any]
CREATE_REQUEST = "CreateRequest"


def with_payload_schemas(document: Json, schemas: Mapping[str, Json]) -> Json:
    """The document in which the payload of a job of each type in `schemas` has that schema.

    Other types keep any object as their payload.
    """
    if not schemas:
        return document
    changed = deepcopy(document)
    components = changed["components"]["schemas"]
    for job_type, schema in sorted(schemas.items()):
        components[f"Payload.{job_type}"] = schema
    components[CREATE_REQUEST].setdefault("allOf", []).extend(
        {
            "if": {"properties": {"type": {"const": job_type}}, "required": ["type"]},
            "then": {"properties": {"payload": {"$ref": f"#/components/schemas/Payload.{job_type}"}}},
        }
        for job_type in sorted(schemas)
    )
    return changed
