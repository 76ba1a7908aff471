"""Checks every error. Each function yields descriptions of what is wrong."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from contract_runtime.errors import ERROR_DOMAIN
from contract_runtime.statuses import MAX_VIOLATIONS
from job_client._gen.jobs._validate import validate_pb2
from tests.fuzz.calls import METHODS
from tests.fuzz.documented import DOCUMENTED, GATEWAY

MAX_ERROR_BYTES = 16 * 1024
LEAK = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|<class |object at 0x|(?<!jobs\.v1\.)\b\w+(Error|Exception)\b|"
    r"(?i:pymongo|motor|bson|mongod|python|kafka)"
)
"""Names of internals that no caller may see, unless the caller has sent the word itself."""
WITHOUT_FIELD = {
    "decode",
    "request.max_bytes",
    "request.max_fields",
    "request.whole",
    "body.json",
    "part.known",
    *(
        rule.id
        for method in METHODS
        for rule in method.input_type.GetOptions().Extensions[validate_pb2.message].cel
    ),
}
"""Rules that a request breaks as a whole, for example because its body is not JSON."""
REASONS = {(row.code, row.reason) for row in DOCUMENTED}
HTTP_OF = {row.code: row.http for row in DOCUMENTED}


def error_faults(status: Status, sent: bytes) -> Iterator[str]:
    """What is wrong with an error of the servers. `sent` is the content of the call."""
    if status.ByteSize() > MAX_ERROR_BYTES:
        yield f"the error has {status.ByteSize()} bytes"
    if status.code not in HTTP_OF:
        yield f"code {status.code} is not documented for an error of the caller"
    yield from _text_faults(status.message, sent)
    if (bad_request := _detail(status, BadRequest())) is not None:
        yield from _bad_request_faults(bad_request, sent)
    elif (info := _detail(status, ErrorInfo())) is not None:
        if info.domain != ERROR_DOMAIN or (status.code, info.reason) not in REASONS:
            yield f"reason {info.reason!r} of {info.domain!r} is not documented for code {status.code}"
    else:
        yield "the error has neither BadRequest nor ErrorInfo"


def json_error_faults(http_status: int, body: Any, sent: bytes) -> Iterator[str]:
    """What is wrong with a JSON error, of the servers or of the gateway itself."""
    if not isinstance(body, dict) or set(body) != {"code", "message", "details"}:
        yield "the error is not of the form {code, message, details}"
    elif body["details"]:
        status = json_format.ParseDict(body, Status())
        if HTTP_OF.get(status.code) != http_status:
            yield f"code {status.code} came as HTTP status {http_status}"
        yield from error_faults(status, sent)
    else:
        if (http_status, body["code"]) not in GATEWAY:
            yield f"{http_status} with code {body['code']} has no details, and the gateway has no such error"
        yield from _text_faults(body["message"], sent)


def _bad_request_faults(bad_request: BadRequest, sent: bytes) -> Iterator[str]:
    violations = bad_request.field_violations
    if not 1 <= len(violations) <= MAX_VIOLATIONS:
        yield f"{len(violations)} violations are named"
    for violation in violations:
        if not violation.reason or not (violation.field or violation.reason in WITHOUT_FIELD):
            yield "a violation names no rule or no field"
        yield from _text_faults(violation.description, sent)


def _text_faults(text: str, sent: bytes) -> Iterator[str]:
    if not text:
        yield "the error has no message"
    if any(found[0].encode() not in sent for found in LEAK.finditer(text)):
        yield f"the error shows internals of the servers: {text!r}"


def _detail(status: Status, kind: Any) -> Any:
    return next((kind for detail in status.details if detail.Unpack(kind)), None)
