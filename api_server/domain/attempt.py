"""One claim of a job and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_LONE_LOSSES = 3
"""A job has failed when so many workers were lost while it was all that they had in hand. Losses in company prove nothing."""
MAX_ATTEMPTS = 20
"""The latest attempts of a job, which are kept and shown."""
MAX_PAST_MESSAGE = 512
"""Characters of the error message of an attempt that is past."""


class Outcome(StrEnum):
    """How an attempt ended; the words are those of the contract."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    LOST = "lost"
    HANDED_BACK = "handed_back"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: `code` is a google.rpc.Code number, `reason` a stable word for programs."""

    code: int
    message: str
    reason: str

    def shortened(self) -> "Failure":
        """As it is kept for an attempt that is past."""
        return Failure(self.code, self.message[:MAX_PAST_MESSAGE], self.reason)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a job and what came of it. `worker_id` is "" for a claim without a worker's name; `error` is set if
    it errored.
    """

    number: int
    worker_id: str
    start_time: datetime
    end_time: datetime | None
    outcome: Outcome
    error: Failure | None = None
