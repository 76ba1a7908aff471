"""What became of a job that a worker ran."""

from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.struct_pb2 import Struct


class Reason(StrEnum):
    """Why a job failed; for programs, so these words stay."""

    INVALID_INPUT = "INVALID_INPUT"
    """The handler found the payload wrong; the message names the field."""
    HANDLER_ERROR = "HANDLER_ERROR"
    """The handler raised anything else; the message has the error's type and text, the log its trace."""
    INVALID_RESULT = "INVALID_RESULT"
    """What the handler returned is not a JSON object; the message says where."""
    RESULT_TOO_LARGE = "RESULT_TOO_LARGE"
    """The result is above the limit for payloads and results."""
    WORKER_PROCESS_DIED = "WORKER_PROCESS_DIED"
    """The process that ran the handler ended before the handler did, as by a crash or for want of memory."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned a result within the limits."""

    result: Struct


@dataclass(frozen=True, slots=True)
class Failed:
    """The job cannot succeed as it is. `reason` is a Reason, `message` for people and without a trace."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The worker had to stop before the handler ended. Not the job's fault: it is to be run again."""


Outcome = Succeeded | Failed | Interrupted
