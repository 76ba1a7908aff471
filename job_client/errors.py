"""What calls of the client raise, and how a server's status becomes one of them.

JobClientError
├── InvalidArgument     the job breaks rules, which `violations` name
├── JobNotFound         there is no such job
├── JobIdTaken          the id chosen for a job belongs to one that was asked for with other words
├── Unavailable         the last word of a server that was asked until the time was up: the cause of a DeadlineExceeded
├── DeadlineExceeded    the caller's time was up; whether a job was stored is unknown: create it again with the same id
├── ClientClosed        the client was closed, or never entered
└── (itself)            code FAILED_PRECONDITION, reason CLIENT_FORKED: the process was forked while a client was open
"""

from collections.abc import Mapping, Sequence

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from contract_runtime.errors import Violation as Violation  # noqa: PLC0414 - users have it from here

CODES = {code.value[0]: code for code in grpc.StatusCode}


class JobClientError(Exception):
    """`code` is gRPC's, `reason` a stable word for programs (docs/reference/errors.md), "" if nobody gave one.

    `retry_delay`: seconds after which the server wants to be asked again; None: it does not say.
    """

    code = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        violations: Sequence[Violation] = (),
        metadata: Mapping[str, str] | None = None,
        retry_delay: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.message = message
        self.reason = reason
        self.violations = tuple(violations)
        self.metadata = dict(metadata or {})
        self.retry_delay = retry_delay

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


class InvalidArgument(JobClientError):
    code = grpc.StatusCode.INVALID_ARGUMENT


class JobNotFound(JobClientError):
    code = grpc.StatusCode.NOT_FOUND


class JobIdTaken(JobClientError):
    code = grpc.StatusCode.ALREADY_EXISTS


class Unavailable(JobClientError):
    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(JobClientError):
    """`metadata` has the job's `id`."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class ClientClosed(JobClientError):
    code = grpc.StatusCode.CANCELLED


KINDS = {
    kind.code: kind for kind in (InvalidArgument, JobNotFound, JobIdTaken, Unavailable, DeadlineExceeded)
}


def invalid(field: str, rule: str, description: str) -> InvalidArgument:
    """One field breaks one rule."""
    return invalid_with([Violation(field, rule, description)])


def invalid_with(violations: Sequence[Violation]) -> InvalidArgument:
    message = "; ".join(
        f"{each.field}: {each.description}" if each.field else each.description for each in violations
    )
    return InvalidArgument(message, reason="INVALID_ARGUMENT", violations=violations)


def not_found(job_id: str) -> JobNotFound:
    """As the server says it."""
    return JobNotFound(f"there is no job {job_id}", reason="JOB_NOT_FOUND", metadata={"id": job_id})


def from_status(status: Status) -> JobClientError:
    """A status of a server, of a whole call or of one job in it."""
    code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info, request, again = ErrorInfo(), BadRequest(), RetryInfo()
    violations: list[Violation] = []
    delay = None
    for detail in status.details:
        if detail.Unpack(request):
            violations = [
                Violation(told.field, told.reason, told.description) for told in request.field_violations
            ]
        elif detail.Unpack(again):
            delay = again.retry_delay.ToTimedelta().total_seconds()
        else:
            detail.Unpack(info)
    return KINDS.get(code, JobClientError)(
        status.message,
        code=code,
        reason=info.reason or ("INVALID_ARGUMENT" if violations else ""),
        violations=violations,
        metadata=info.metadata,
        retry_delay=delay,
    )


def from_call(failure: grpc.aio.AioRpcError) -> JobClientError:
    """A call that failed, by a server's word or because none was heard."""
    try:
        status = rpc_status.from_call(failure)
    except (ValueError, DecodeError):  # details that do not fit the status, made by somebody in between
        status = None
    return from_status(status or Status(code=failure.code().value[0], message=failure.details() or ""))
