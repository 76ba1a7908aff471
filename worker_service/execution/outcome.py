"""What became of a job that a worker ran."""

from enum import StrEnum

from google.protobuf.struct_pb2 import Struct

from contract_runtime.value import value


class Reason(StrEnum):
    """Why a job failed; for programs, so these words stay."""

    INVALID_INPUT = "INVALID_INPUT"
    """The handler found the payload wrong; the message names the field."""
    PERMANENT_ERROR = "PERMANENT_ERROR"
    """The handler said that another try cannot help; the message is its own."""
    RETRY_AFTER = "RETRY_AFTER"
    """The handler asked for another try, and this was the last one; the message is its own."""
    HANDLER_ERROR = "HANDLER_ERROR"
    """The handler raised anything else; the message has the error's type and text, the log its trace."""
    INVALID_RESULT = "INVALID_RESULT"
    """What the handler returned is not a JSON object; the message says where."""
    RESULT_TOO_LARGE = "RESULT_TOO_LARGE"
    """The result is above the limit for payloads and results."""
    TIMEOUT = "TIMEOUT"
    """The handler ran for longer than the job's timeout allows."""
    LOOP_BLOCKED = "LOOP_BLOCKED"
    """The handler held up the event loop that async handlers share for too long; the log has its stack."""
    WORKER_PROCESS_DIED = "WORKER_PROCESS_DIED"
    """The process that ran the handler ended before the handler did, as by a crash or for want of memory."""


@value
class Succeeded:
    """The handler returned a result within the limits."""

    result: Struct


@value
class Failed:
    """The try has failed. `reason` is a Reason, `message` for people and without a trace."""

    reason: str
    message: str
    permanent: bool = False
    """Whether another try cannot help."""
    retry_after: float | None = None
    """Seconds until the next try, where the handler wants other than the job's retry policy says."""


@value
class Interrupted:
    """The worker had to stop before the handler ended. Not the job's fault: it is to be run again."""


Outcome = Succeeded | Failed | Interrupted
