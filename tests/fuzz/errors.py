"""What must be true of every error. Each function yields what is wrong, in words."""

import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status

from buf.validate import validate_pb2
from contract_runtime.errors import ERROR_DOMAIN
from contract_runtime.statuses import MAX_VIOLATIONS
from tests.fuzz.calls import METHODS
from tests.fuzz.documented import DOCUMENTED, GATEWAY

MAX_ERROR_BYTES = 16 * 1024
LEAK = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|<class |object at 0x|(?<!jobs\.v1\.)\b\w+(Error|Exception)\b|"
    r"(?i:pymongo|motor|bson|mongod|python|kafka)"
)
"""The insides of the servers, which no caller is to see, unless it has said the word itself."""
OF_NO_FIELD = {
    "decode",
    *(
        rule.id
        for method in METHODS
        for rule in method.input_type.GetOptions().Extensions[validate_pb2.message].cel
    ),
}
"""The rules that a request breaks as a whole: one that cannot be decoded, and those between its fields."""
REASONS = {(row.code, row.reason) for row in DOCUMENTED}
HTTP_OF = {row.code: row.http for row in DOCUMENTED}


def error_faults(status: Status, asked: bytes) -> Iterator[str]:
    """What is wrong with an error of the servers, the answer to what was `asked`."""
    if status.ByteSize() > MAX_ERROR_BYTES:
        yield f"the error has {status.ByteSize()} bytes"
    if status.code not in HTTP_OF:
        yield f"code {status.code} is not documented for a caller's fault"
    yield from _text_faults(status.message, asked)
    if (bad_request := _detail(status, BadRequest())) is not None:
        yield from _bad_request_faults(bad_request, asked)
    elif (info := _detail(status, ErrorInfo())) is not None:
        if info.domain != ERROR_DOMAIN or (status.code, info.reason) not in REASONS:
            yield f"reason {info.reason!r} of {info.domain!r} is not documented for code {status.code}"
    else:
        yield "the error has neither BadRequest nor ErrorInfo"


def json_error_faults(http_status: int, body: Any, asked: bytes) -> Iterator[str]:
    """What is wrong with an error as JSON, of the servers or of the gateway itself."""
    if not isinstance(body, dict) or set(body) != {"code", "message", "details"}:
        yield "the error is not of the form {code, message, details}"
    elif body["details"]:
        status = json_format.ParseDict(body, Status())
        if HTTP_OF.get(status.code) != http_status:
            yield f"code {status.code} came as HTTP status {http_status}"
        yield from error_faults(status, asked)
    else:
        if (http_status, body["code"]) not in GATEWAY:
            yield f"{http_status} with code {body['code']} has no details, and is none of the gateway's own"
        yield from _text_faults(body["message"], asked)


def _bad_request_faults(bad_request: BadRequest, asked: bytes) -> Iterator[str]:
    violations = bad_request.field_violations
    if not 1 <= len(violations) <= MAX_VIOLATIONS:
        yield f"{len(violations)} violations are told"
    for violation in violations:
        if not violation.reason or not (violation.field or violation.reason in OF_NO_FIELD):
            yield "a violation names no rule or no field"
        yield from _text_faults(violation.description, asked)


def _text_faults(text: str, asked: bytes) -> Iterator[str]:
    if not text:
        yield "the error says nothing"
    if any(found[0].encode() not in asked for found in LEAK.finditer(text)):
        yield f"the error shows the insides of the servers: {text!r}"


def _detail(status: Status, kind: Any) -> Any:
    return next((kind for detail in status.details if detail.Unpack(kind)), None)
