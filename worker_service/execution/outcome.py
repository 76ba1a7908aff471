"""How a job ended in the worker."""

from enum import StrEnum
from typing import Any

from google.protobuf.struct_pb2 import Struct

from contract_runtime.structs import fill_struct
from contract_runtime.value import value


class Reason(StrEnum):
    """Why a job failed. Programs depend on these values, so they never change."""

    INVALID_INPUT = "INVALID_INPUT"
    """The handler refused the payload, or it is not of the handler's type; the message names the fields."""
    PERMANENT_ERROR = "PERMANENT_ERROR"
    """The handler reported that another try cannot succeed; the message is the handler's."""
    RETRY_AFTER = "RETRY_AFTER"
    """The handler asked for another try after its last one; the message is the handler's."""
    HANDLER_ERROR = "HANDLER_ERROR"
    """The handler raised any other error.

    The message has the error's type and text, the log has its trace.
    """
    INVALID_RESULT = "INVALID_RESULT"
    """The handler returned something that is not a JSON object, or not of its own type; the message says
    where.
    """
    RESULT_TOO_LARGE = "RESULT_TOO_LARGE"
    """The result is above the limit for payloads and results."""
    TIMEOUT = "TIMEOUT"
    """The handler ran for longer than the job's timeout."""
    LOOP_BLOCKED = "LOOP_BLOCKED"
    """The handler blocked the event loop that async handlers share for too long; the log has its stack."""
    WORKER_PROCESS_DIED = "WORKER_PROCESS_DIED"
    """The process that ran the handler ended before the handler did: by a crash, for lack of memory."""


@value
class Succeeded:
    """The handler returned a valid result within the limits."""

    result: Struct
    size: int
    """Bytes of `result` as protobuf."""

    @classmethod
    def with_result(cls, data: dict[str, Any]) -> "Succeeded":
        """Raises StructError if `data` cannot be a result."""
        result = Struct()
        return cls(result, fill_struct(result, data))


@value
class Failed:
    """The try failed. `reason` is a Reason; `message` is for people and has no trace."""

    reason: str
    message: str
    permanent: bool = False
    """Whether another try cannot succeed."""
    retry_after: float | None = None
    """Seconds until the next try, if the handler asked for another delay than the job's retry policy."""


@value
class Interrupted:
    """The worker had to stop before the handler ended. This is not the job's fault, so it runs again."""


Outcome = Succeeded | Failed | Interrupted
