"""The errors that the client raises, how a server's status becomes one, and which ones are transient.

JobClientError
├── InvalidArgument     the job breaks rules; `violations` names them
├── JobNotFound         there is no such job
├── JobIdTaken          the job's id belongs to a job with a different request
├── Unavailable         no server could be reached at first, or none answered a call that is sent once
├── DeadlineExceeded    the timeout is over; a job may be stored or not: create it again with the same id
├── ClientClosed        the client is closed, or was never opened
├── JobFailed           the job failed or was cancelled, so it has no result
├── ResultMismatch      the job's result does not fit the type that the caller named (results.py)
├── Interrupted         Ctrl-C during a call; also a KeyboardInterrupt
└── (itself)            FAILED_PRECONDITION with reason CLIENT_FORKED: forked while a client was open, or
                        CLIENT_OTHER_LOOP: opened in another event loop; and a server's other errors
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.rpc.status_pb2 import Status

from contract_runtime.errors import InvalidArgument as ServiceInvalidArgument
from contract_runtime.errors import Violation as Violation  # noqa: PLC0414 - users import it from here
from contract_runtime.status_details import call_status, decode_status

CODES = {code.value[0]: code for code in grpc.StatusCode}
TRANSIENT_CODES = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
BROKEN_CONNECTION_CODES = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
"""gRPC's codes for a connection that breaks in the middle of an answer.

A server that fails also gives a reason.
"""
CONTENT_CODES = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)
"""The content of the call may be why it failed."""


class JobClientError(Exception):
    """`code` is gRPC's. `reason` is a stable name for programs (docs/reference/errors.md), or "".

    `retry_delay`: seconds after which the server asks for another try; None: it does not ask.
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


class JobFailed(JobClientError):
    """The job failed or was cancelled. `job` is the job; `code` and `reason` are those of its error."""

    job: Any = None


class Interrupted(JobClientError, KeyboardInterrupt):
    """Ctrl-C while a JobClient waited. What was sent goes on in the server.

    It is a KeyboardInterrupt, too, so that programs that handle Ctrl-C handle it.
    """

    code = grpc.StatusCode.CANCELLED


KINDS = {
    kind.code: kind for kind in (InvalidArgument, JobNotFound, JobIdTaken, Unavailable, DeadlineExceeded)
}

# --- Errors that the client makes itself ---


def invalid(field: str, rule: str, description: str) -> InvalidArgument:
    """The error for one field that breaks one rule."""
    return invalid_with([Violation(field, rule, description)])


def invalid_with(violations: Sequence[Violation]) -> InvalidArgument:
    message = ServiceInvalidArgument(violations).message
    return InvalidArgument(message, reason="INVALID_ARGUMENT", violations=violations)


def not_found(job_id: str) -> JobNotFound:
    """The same error as the server's."""
    return JobNotFound(f"there is no job {job_id}", reason="JOB_NOT_FOUND", metadata={"id": job_id})


def deadline_exceeded(job_id: str, last_error: JobClientError | None = None) -> DeadlineExceeded:
    """The error after the timeout, with the last transient error as its cause."""
    last = f"; the last answer was {last_error}" if last_error else ""
    error = DeadlineExceeded(
        f"job {job_id}: the timeout is over{last}",
        reason="CLIENT_DEADLINE_EXCEEDED",
        metadata={"id": job_id},
    )
    error.__cause__ = last_error
    return error


def client_closed(job_id: str) -> ClientClosed:
    return ClientClosed(f"job {job_id}: the client is closed", metadata={"id": job_id})


def client_fault(job_id: str, fault: BaseException) -> JobClientError:
    """The error for what must not happen, such as an answer that breaks the contract."""
    error = JobClientError(
        f"job {job_id}: the client failed: {fault!r}",
        code=grpc.StatusCode.INTERNAL,
        reason="CLIENT_FAULT",
        metadata={"id": job_id},
    )
    error.__cause__ = fault
    return error


# --- Errors of a server ---


def from_status(status: Status) -> JobClientError:
    """The error for a server's status, of a whole call or of one job in it."""
    code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    details = decode_status(status)
    return KINDS.get(code, JobClientError)(
        status.message,
        code=code,
        reason=details.reason or ("INVALID_ARGUMENT" if details.violations else ""),
        violations=details.violations,
        metadata=details.metadata,
        retry_delay=details.retry_delay,
    )


def from_call(failure: grpc.aio.AioRpcError) -> JobClientError:
    """The error for a call that failed, whether a server answered or not."""
    return from_status(call_status(failure))


# --- What an error means for the items of the call ---


def is_transient(error: JobClientError) -> bool:
    """Whether the same call, sent again, may succeed. It may have been carried out already."""
    return (
        error.code in TRANSIENT_CODES
        or error.retry_delay is not None
        or (error.code in BROKEN_CONNECTION_CODES and not error.reason)
    )


def may_be_caused_by_one_item(error: JobClientError) -> bool:
    """Whether one item may have made the call fail, so that the others must be tried without it."""
    return error.code in CONTENT_CODES and not is_transient(error)


def errors_by_index(error: JobClientError, field: str) -> dict[int, JobClientError]:
    """The items of the repeated field `field` that the error's violations name, by index.

    Each item gets only its own violations, with the field names that it would get if it were sent alone.
    """
    named: dict[int, list[Violation]] = {}
    pattern = re.compile(rf"{field}\[(\d+)\]\.?(.*)", re.DOTALL)
    for violation in error.violations:
        if found := pattern.fullmatch(violation.field):
            named.setdefault(int(found[1]), []).append(violation._replace(field=found[2]))
    return {index: invalid_with(violations) for index, violations in named.items()}
