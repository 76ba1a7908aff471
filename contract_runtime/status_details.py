"""Reads a google.rpc.Status: of a failed call, or of one item in an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from contract_runtime.errors import Violation


@dataclass(frozen=True, slots=True)
class StatusDetails:
    """The details of a google.rpc.Status that this project uses; empty where the status has none.

    `retry_delay`: seconds after which the server asks for another try; None: it does not ask.
    """

    reason: str = ""
    domain: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    retry_delay: float | None = None


def decode_status(status: Status) -> StatusDetails:
    """Read the ErrorInfo, BadRequest and RetryInfo of a status. Other details are skipped."""
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, retry_delay = error_details_pb2.RetryInfo(), None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_delay = retry.retry_delay.ToTimedelta().total_seconds()
        elif not detail.Unpack(request):
            detail.Unpack(info)
    return StatusDetails(
        info.reason,
        info.domain,
        dict(info.metadata),
        tuple(
            Violation(violation.field, violation.reason, violation.description)
            for violation in request.field_violations
        ),
        retry_delay,
    )


def call_status(error: grpc.aio.AioRpcError) -> Status:
    """The status of a call that failed; without details if no server of this project answered."""
    try:
        status = rpc_status.from_call(error)
    except (ValueError, DecodeError):  # A proxy between client and server made details that do not fit.
        status = None
    return status or Status(code=error.code().value[0], message=error.details() or "")


def reason_of(status: Status) -> str:
    """The stable reason, such as ATTEMPT_SUPERSEDED; without one, the name of the code."""
    return decode_status(status).reason or code_name(status.code)


def code_name(code: int) -> str:
    """The name of a google.rpc.Code, such as NOT_FOUND."""
    return str(Code.Name(code)) if code in Code.values() else str(code)


def asks_for_retry(status: Status) -> bool:
    """Whether the server asks for the same request again, because it is busy."""
    return decode_status(status).retry_delay is not None
