"""The parameters of an operation: in the path, in the query, and headers."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from gateway.openapi import examples, manners
from gateway.openapi.schemas import Schemas

Json = dict[str, Any]
IN_PATH = re.compile(r"\{(\w+)\}")


def path_parameters(path: str, request: Descriptor, schemas: Schemas) -> Iterator[Json]:
    for name in IN_PATH.findall(path):
        found = _parameter(request.fields_by_name[name], "path", schemas)
        found["required"] = True
        example = examples.PARAMETERS.get(path.split("/")[1])
        yield {**found, "example": example} if example else found


def query_parameters(
    path: str, method: MethodDescriptor, schemas: Schemas, *, has_body: bool
) -> Iterator[Json]:
    """A request without a body has all fields in the query that are not in the path.

    Raises ValueError for a field that a query cannot have.
    """
    in_path = IN_PATH.findall(path)
    in_query = manners.QUERY_BESIDES_BODY.get(method.full_name, ())
    for field in method.input_type.fields:
        if field.name in in_path or (has_body and field.name not in in_query):
            continue
        if _is_message(field):
            raise ValueError(f"{field.full_name}: a query parameter cannot be an object")
        found = _parameter(field, "query", schemas)
        if schemas.is_required(field):
            found["required"] = True
        yield found


def header(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


def _parameter(field: FieldDescriptor, place: str, schemas: Schemas) -> Json:
    schema = schemas.request_field(field)
    found: Json = {"name": field.json_name, "in": place}
    if description := schema.pop("description", ""):
        found["description"] = description
    found["schema"] = schema
    if field.full_name in examples.QUERY:
        found["example"] = examples.QUERY[field.full_name]
    return found


def _is_message(field: FieldDescriptor) -> bool:
    """Times and durations are text in JSON."""
    kind = field.message_type
    return kind is not None and kind.name not in ("Timestamp", "Duration", "FieldMask")
