"""One claim of a job and how it ended."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_LONE_LOSSES = 3
"""A job fails with POISON after this many workers were lost that held only this job.

A loss of a worker that held other jobs, too, does not count: any of them may be the cause.
"""
MAX_ATTEMPTS = 20
"""How many attempts of a job are kept and shown: the latest ones."""
MAX_PAST_MESSAGE = 512
"""Characters that are kept of a past attempt's error message."""


class Outcome(StrEnum):
    """How an attempt ended, by the contract's names."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    ERRORED = "errored"
    LOST = "lost"
    HANDED_BACK = "handed_back"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed. `code`: a google.rpc.Code number. `reason`: a stable identifier for programs."""

    code: int
    message: str
    reason: str

    def shortened(self) -> "Failure":
        """The failure as it is kept for a past attempt."""
        return Failure(self.code, self.message[:MAX_PAST_MESSAGE], self.reason)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claim of a job and how it ended.

    `worker_id`: "" for an unfenced claim. `error`: set if the outcome is ERRORED.
    """

    number: int
    worker_id: str
    start_time: datetime
    end_time: datetime | None
    outcome: Outcome
    error: Failure | None = None
