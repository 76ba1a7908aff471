"""A job and the words for where it stands."""

import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from api_server.domain.attempt import MAX_ATTEMPTS, MAX_LONE_LOSSES, Attempt, Failure, Outcome
from api_server.domain.retry import DEFAULT_POLICY, RetryPolicy
from contract_runtime.value import value


class Status(StrEnum):
    """Where a job stands; the words are those of the contract."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


@value
class Progress:
    """How far a handler is: `percent` 0 to 100, and words for people."""

    percent: float
    message: str


class ProgressNote(NamedTuple):
    """What the handler of one attempt says of how far it is: `percent` 0 to 100, and words for people."""

    job_id: UUID
    attempt: int
    percent: float
    message: str


@value
class Job:
    """One job as stored. Times are aware, UTC, in milliseconds; `worker_id` is "" when nobody holds it, or held it when it
    ended.
    """

    id: UUID
    type: str
    status: Status
    payload: Mapping[str, Any]
    create_time: datetime
    update_time: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0
    revision: int = 1
    worker_id: str = ""
    result: Mapping[str, Any] | None = None
    error: Failure | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    retry_policy: RetryPolicy = DEFAULT_POLICY
    failures: int = 0
    losses: int = 0
    lone_losses: int = 0
    """Those of `losses` in which the worker had nothing else in hand; never shown to readers."""
    past: tuple[Attempt, ...] = ()
    """Attempts after which the job was queued again, oldest first."""
    schedule_time: datetime | None = None
    expire_time: datetime | None = None
    timeout: timedelta | None = None
    next_attempt_time: datetime | None = None
    progress: Progress | None = None
    claim_id: str = ""
    """Tells one claim without a worker's name from another; never shown to readers, nor are those that follow."""
    cancel_id: str = ""
    """The latest Cancel that was done."""
    retry_id: str = ""
    """The latest Retry that was done."""

    def same_request(self, other: "Job") -> bool:
        """Whether both were asked for with the same words. `expire_time` is not compared: Retry may have changed it."""
        mine, others = (
            (job.schedule_time, job.timeout, job.retry_policy, _as_json(job)) for job in (self, other)
        )
        return mine == others

    def is_expired(self, now: datetime) -> bool:
        """Whether it must not be started any more."""
        return self.expire_time is not None and self.expire_time <= now

    def is_waiting(self, now: datetime) -> bool:
        """Whether it is not to be started yet."""
        return (
            self.status is Status.QUEUED
            and self.next_attempt_time is not None
            and self.next_attempt_time > now
        )

    @property
    def history(self) -> tuple[Attempt, ...]:
        """The latest attempts, oldest first."""
        present = self._present_attempt()
        attempts = self.past if present is None else (*self.past, present)
        return attempts[-MAX_ATTEMPTS:]

    def _present_attempt(self) -> Attempt | None:
        """The attempt that runs, or with which the job ended; None if it is queued, or ended while it was."""
        if self.start_time is None or not (self.worker_id or self.claim_id):
            return None
        match self.status:
            case Status.COMPLETED:
                outcome = Outcome.SUCCEEDED
            case Status.FAILED:
                outcome = Outcome.LOST if self.lone_losses >= MAX_LONE_LOSSES else Outcome.ERRORED
            case Status.CANCELLED:
                outcome = Outcome.CANCELLED
            case _:
                outcome = Outcome.RUNNING
        error = self.error if outcome is Outcome.ERRORED else None
        return Attempt(self.attempt, self.worker_id, self.start_time, self.end_time, outcome, error)


def _as_json(job: Job) -> str:
    # As JSON, where true is not 1, as it is in Python.
    return json.dumps([job.type, job.payload, job.labels], sort_keys=True)


@value
class Dispatch:
    """Word to a worker that a job waits: `attempt` is the number that its claim must expect.

    `payload` None: too large to travel; the worker reads it from the API server.
    """

    job_id: UUID
    type: str
    attempt: int
    payload: Mapping[str, Any] | None
    timeout: timedelta | None = None
    losses: int = 0

    @classmethod
    def of(cls, job: Job) -> "Dispatch":
        return cls(job.id, job.type, job.attempt, job.payload, job.timeout, job.losses)
