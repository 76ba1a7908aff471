"""Checks every answer, whatever the call was. Each function yields descriptions of what is wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc.status_pb2 import Status

from api_server.rpc.answers import MAX_ANSWER_BYTES
from contract_runtime.limits import MAX_REQUEST_BYTES
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchCreateResponse,
    BatchGetResponse,
    CreateOutcome,
    DeleteResponse,
    ListResponse,
    UpdateOutcome,
)
from tests.fuzz.calls import Call, NativeCall, RestCall
from tests.fuzz.echoes import echo_faults
from tests.fuzz.errors import MAX_ERROR_BYTES, error_faults, json_error_faults
from tests.fuzz.jobs import job_faults
from tests.fuzz.sending import Answer, NativeAnswer, RestAnswer

MAX_JSON_BYTES = 32 * 1024 * 1024
NATIVE = re.compile(rb"application/grpc(-web(-text)?)?([+].*)?")
"""The content types of gRPC and gRPC-Web."""
SUCCESS = (200, 201)
SERVER_FAULTS = {"1", "2", "4", "10", "11", "13", "14", "15"}
"""The numbers of gRPC codes that mean an error of the servers."""


def faults(call: Call, answer: Answer) -> Iterator[str]:
    """What is wrong with the answer."""
    match call, answer:
        case NativeCall(), NativeAnswer():
            yield from _native_faults(call, answer)
        case RestCall(), RestAnswer() if _is_native(call):
            yield from _grpc_over_rest_faults(answer)
        case RestCall(), RestAnswer():
            yield from _rest_faults(call, answer)


def answered(call: Call, answer: Answer) -> Message | None:
    """The message of an answer, or None for an error.

    Raises DecodeError or ParseError if it is not a message.
    """
    match call, answer:
        case NativeCall(), NativeAnswer(code=grpc.StatusCode.OK):
            return GetMessageClass(call.method.output_type).FromString(answer.raw)
        case RestCall(), RestAnswer(status=200 | 201, content_type="application/json"):
            # A damaged path may reach another method, so the fields tell which method answered.
            fields = set(json.loads(answer.body))
            if not fields:
                return DeleteResponse()
            if "openapi" in fields:
                document: Message = HttpBody(content_type=answer.content_type, data=answer.body)
                return document
            for method in call.service.methods:
                if fields <= {field.json_name for field in method.output_type.fields}:
                    return json_format.Parse(answer.body, GetMessageClass(method.output_type)())
            raise json_format.ParseError(f"no method answers with {fields}")
    return None


def stored_jobs(answer: Message | None) -> Iterator[Job]:
    """The jobs that are stored according to this answer."""
    if isinstance(answer, Job):
        yield answer
    elif isinstance(answer, BatchCreateResponse):
        yield from (outcome.job for outcome in answer.outcomes if outcome.HasField("job"))


def _native_faults(call: NativeCall, answer: NativeAnswer) -> Iterator[str]:
    if answer.code is grpc.StatusCode.OK:
        if len(answer.raw) > MAX_ANSWER_BYTES:
            yield f"the answer has {len(answer.raw)} bytes"
        yield from _message_faults(call, answer)
    elif answer.code is grpc.StatusCode.RESOURCE_EXHAUSTED and len(call.raw) > MAX_REQUEST_BYTES:
        return  # gRPC itself refuses the message, without details
    elif answer.status is None:
        yield "the error has no details, or they contradict its status"
    else:
        yield from error_faults(answer.status, call.content)


def _rest_faults(call: RestCall, answer: RestAnswer) -> Iterator[str]:
    succeeded = answer.status in SUCCESS
    if len(answer.body) > (MAX_JSON_BYTES if succeeded else MAX_ERROR_BYTES):
        yield f"the answer has {len(answer.body)} bytes"
    if answer.content_type != "application/json":
        yield f"the content type is {answer.content_type!r}"
        return
    try:
        body = json.loads(answer.body, parse_constant=_no_json)
    except ValueError as error:
        yield f"the answer is not JSON: {error}"
        return
    if succeeded:
        yield from _message_faults(call, answer)
    else:
        yield from json_error_faults(answer.status, body, call.content)


def _grpc_over_rest_faults(answer: RestAnswer) -> Iterator[str]:
    """A REST request with a gRPC content type is answered like a gRPC call, by headers."""
    if answer.status >= 500 or answer.grpc_status in SERVER_FAULTS:
        yield f"HTTP status {answer.status}, gRPC status {answer.grpc_status}"


def _is_native(call: RestCall) -> bool:
    return any(NATIVE.fullmatch(value) for name, value in call.headers if name == b"content-type")


def _message_faults(call: Call, answer: Answer) -> Iterator[str]:
    try:
        message = answered(call, answer)
    except (DecodeError, json_format.ParseError) as error:
        yield f"the answer cannot be decoded: {error}"
        return
    if message is None:
        return
    if isinstance(call, NativeCall):
        yield from echo_faults(GetMessageClass(call.method.input_type).FromString(call.raw), message)
    for part in _parts(message):
        if isinstance(part, Status):
            yield from error_faults(part, call.content)
        elif isinstance(part, Job):
            yield from job_faults(part, is_whole=_is_whole(part, message))
        elif isinstance(part, CreateOutcome | UpdateOutcome) and not part.WhichOneof("outcome"):
            yield "an item was neither accepted nor refused"


def _is_whole(job: Job, message: Message) -> bool:
    """Whether a job in an answer should have payload and result.

    BatchCreate never returns them. List and BatchGet return none of them in the basic view.
    """
    if isinstance(message, ListResponse | BatchGetResponse):
        return job.HasField("payload")
    return not isinstance(message, BatchCreateResponse)


def _parts(message: Message) -> Iterator[Message]:
    """The message and all messages of the contract inside it, without the users' data."""
    yield message
    for field, value in message.ListFields():
        kind = field.message_type
        if kind and not kind.GetOptions().map_entry and kind.file.package != "google.protobuf":
            for part in value if field.is_repeated else [value]:
                yield from _parts(part)


def _no_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
