"""The REST methods of a service as OpenAPI operations."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from contract_runtime import limits
from contract_runtime.rest import has_rest
from gateway.openapi import examples, manners
from gateway.openapi.comments import Comments, Described, described, markdown
from gateway.openapi.errors import REQUEST_ID, error_responses
from gateway.openapi.parameters import IN_PATH, header, path_parameters, query_parameters
from gateway.openapi.schemas import Schemas, reference

Json = dict[str, Any]
JSON_TYPE, EVENTS_TYPE = "application/json", "text/event-stream"
CREATE = "jobs.v1.JobService.Create"
CREATED_JOB = "CreatedJob"
JOB = "jobs.v1.Job"
WITH_TAG = {JOB, "google.api.HttpBody"}
"""Responses that have an ETag."""


@dataclass(frozen=True)
class Binding:
    """One REST path of a method."""

    method: MethodDescriptor
    verb: str
    path: str
    has_body: bool
    is_main: bool

    @property
    def operation_id(self) -> str:
        """Unique: a further path has its verb or its words in the id."""
        name = self.method.name[0].lower() + self.method.name[1:]
        if self.is_main:
            return name
        return f"{name}_{'body' if self.has_body else self.path.strip('/').partition(':')[0]}"


def bindings(service: ServiceDescriptor) -> Iterator[Binding]:
    """All REST paths of a service, in the order of the contract."""
    for method in filter(has_rest, service.methods):
        main = method.GetOptions().Extensions[annotations_pb2.http]
        for rule in (main, *main.additional_bindings):
            verb = rule.WhichOneof("pattern")
            yield Binding(method, verb, getattr(rule, verb), rule.body == "*", rule is main)


def paths_of(service: ServiceDescriptor, schemas: Schemas, comments: Comments) -> dict[str, Json]:
    """The path items of a service."""
    of_service = described(comments.get(service.full_name, ""))
    found: dict[str, Json] = {}
    for binding in bindings(service):
        item = found.setdefault(binding.path, {})
        item[binding.verb] = operation(binding, schemas, comments, of_service)
    return found


def operation(binding: Binding, schemas: Schemas, comments: Comments, of_service: Described) -> Json:
    method = binding.method
    service = method.containing_service
    comment = described(comments.get(method.full_name, ""))
    found: Json = {
        "operationId": binding.operation_id,
        "tags": [service.name],
        "summary": comment.text.partition(". ")[0].partition(".\n")[0].replace("\n", " ").rstrip("."),
        "description": markdown(comment.text),
        "parameters": [
            *path_parameters(binding.path, method.input_type, schemas),
            *query_parameters(binding.path, method, schemas, has_body=binding.has_body),
            *_headers(method),
        ],
    }
    if repeatable := _repeatable(method):
        found["x-repeatable"] = repeatable
    if binding.has_body:
        found["requestBody"] = _body(binding, schemas)
    found["responses"] = {
        **_success(method, schemas),
        **dict(error_responses(comment.errors, service.name, of_service.errors, has_body=binding.has_body)),
    }
    return found


def _headers(method: MethodDescriptor) -> list[Json]:
    found = [header("Request-Id")]
    if method.full_name in manners.WITH_IDEMPOTENCY_KEY:
        found.append(header("Idempotency-Key"))
    if _is_conditional(method):
        found.append(header("If-None-Match"))
    return found


def _is_conditional(method: MethodDescriptor) -> bool:
    """Whether the method answers 304: it reads one job, or the API document."""
    return method.output_type.full_name in WITH_TAG and limits.is_read(method)


def _repeatable(method: MethodDescriptor) -> str:
    repeats = limits.repeats_of(method)
    if repeats is None:
        return ""
    return repeats.idempotency_header or "always"


def _body(binding: Binding, schemas: Schemas) -> Json:
    schema = schemas.body(binding.method.input_type, without=IN_PATH.findall(binding.path))
    name = schema["$ref"].rpartition("/")[2]
    content: Json = {"schema": schema}
    if binding.method.full_name in examples.REQUESTS:
        content["examples"] = {"request": {"value": examples.REQUESTS[binding.method.full_name]}}
    return {"required": "required" in schemas.components[name], "content": {JSON_TYPE: content}}


def _success(method: MethodDescriptor, schemas: Schemas) -> Json:
    schema = schemas.response(method.output_type)
    names = ["Request-Id", "Content-Encoding"]
    if method.output_type.full_name in WITH_TAG:
        names.append("ETag")
    status, description = "200", "The call succeeded"
    if method.full_name == CREATE:
        status, description = "201", "The job is stored"
        names += ["Location", "Idempotent-Replayed"]
        schema = _created_job(method, schema, schemas)
    content: Json = {"schema": schema}
    if method.server_streaming:
        names.remove("Content-Encoding")
        content = {"schema": {"type": "string"}, "x-event": schema}
    if method.full_name in examples.RESPONSES:
        content["examples"] = {"response": {"value": examples.RESPONSES[method.full_name]}}
    kind = EVENTS_TYPE if method.server_streaming else JSON_TYPE
    found: Json = {
        status: {"description": description, "headers": _references(names), "content": {kind: content}}
    }
    if _is_conditional(method):
        found["304"] = {
            "description": "The job, or the document, has not changed",
            "headers": {**REQUEST_ID, **_references(["ETag"])},
        }
    return found


def _created_job(method: MethodDescriptor, job: Json, schemas: Schemas) -> Json:
    """Only the response of Create has all fields of a job in the contract."""
    hidden = [field for field in method.output_type.fields if field.full_name in schemas.hidden]
    schemas.components[CREATED_JOB] = {
        "allOf": [job],
        "type": "object",
        "properties": {field.json_name: schemas.response_field(field) for field in hidden},
        "required": [field.json_name for field in hidden],
    }
    return reference(CREATED_JOB)


def _references(headers: list[str]) -> Mapping[str, Json]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in headers}
