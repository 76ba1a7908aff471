"""A job, its status and progress, and the message that dispatches it to a worker."""

import json
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from api_server.domain.attempt import MAX_ATTEMPTS, MAX_LONE_LOSSES, Attempt, Failure, Outcome
from api_server.domain.notify import Notify
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES, size_or_least
from api_server.domain.retry import DEFAULT_POLICY, RetryPolicy
from contract_runtime.value import value


class Status(StrEnum):
    """The state of a job, by the contract's names."""

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
    """How far a handler is. `percent`: 0 to 100. `message`: for people."""

    percent: float
    message: str


class ProgressNote(NamedTuple):
    """Progress that the handler of one attempt reports. `percent`: 0 to 100. `message`: for people."""

    job_id: UUID
    attempt: int
    percent: float
    message: str


@value
class Job:
    """One job as stored. Times are aware, UTC, in milliseconds.

    `worker_id`: the worker that holds the job, or held it when it ended; "" if there is none.
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
    """Losses of workers that held only this job; part of `losses`. Never shown to readers."""
    past: tuple[Attempt, ...] = ()
    """Attempts that ended with the job queued again, oldest first."""
    schedule_time: datetime | None = None
    expire_time: datetime | None = None
    timeout: timedelta | None = None
    next_attempt_time: datetime | None = None
    progress: Progress | None = None
    notify: Notify | None = None
    claim_id: str = ""
    """Identifies an unfenced claim. Never shown to readers."""
    cancel_id: str = ""
    """Identifies the latest Cancel that was applied. Never shown to readers."""
    retry_id: str = ""
    """Identifies the latest Retry that was applied. Never shown to readers."""
    owner: str = ""
    """The principal that created it; "" if callers were not known. Never shown to readers."""
    content_digest: str = ""
    """The digest of what the handler receives, see contract_runtime.content_digest. Never shown to readers.

    "": a record does not carry the payload, or an earlier release stored the job.
    """
    payload_size: int | None = field(default=None, compare=False)
    """Bytes of the payload as protobuf, measured once when the request arrives.

    None: the job was read from the store.
    """
    stored_size: int = field(default=0, compare=False)
    """Bytes of the document that the job was read from. 0: the job was created by a request."""

    def same_request(self, other: "Job") -> bool:
        """Whether both were created by equal requests.

        `expire_time` is not compared: Retry may have changed it. Nor is a default of `notify`: the setting
        may have changed.
        """
        mine, others = (
            (job.schedule_time, job.timeout, job.retry_policy, _requested_url(job), _as_json(job))
            for job in (self, other)
        )
        return mine == others

    def is_expired(self, now: datetime) -> bool:
        """Whether it is too late to start it."""
        return self.expire_time is not None and self.expire_time <= now

    def is_waiting(self, now: datetime) -> bool:
        """Whether it is too early to start it."""
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
        """The attempt that runs, or ended the job; None if the job is queued, or ended while it was
        queued.
        """
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


def _requested_url(job: Job) -> str | None:
    return None if job.notify is None or job.notify.is_default else job.notify.url


def _as_json(job: Job) -> str:
    # Compared as JSON, because in Python True == 1.
    return json.dumps([job.type, job.payload, job.labels], sort_keys=True)


@value
class Dispatch:
    """A message to workers: this job waits. `attempt`: the number that the claim must expect.

    `payload` None: too large for the message; the worker reads it from the API server.
    """

    job_id: UUID
    type: str
    attempt: int
    payload: Mapping[str, Any] | None
    timeout: timedelta | None = None
    losses: int = 0
    payload_size: int = field(default=0, compare=False)
    """Bytes of the payload as protobuf, or a lower bound of them, and of the labels, for jobs that are queued
    in memory.
    """
    labels: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = DEFAULT_POLICY.max_attempts

    @classmethod
    def of(cls, job: Job) -> "Dispatch":
        """The dispatch of a job. A payload that is too large for a record is left out, to save memory."""
        labels, tries = job.labels, job.retry_policy.max_attempts
        payload: Mapping[str, Any] | None = job.payload
        size = size_or_least(job.payload_size, job.payload)
        if size > MAX_TRAVELLING_BYTES:
            size, payload = 0, None
        if labels:
            size += sum(len(key) + len(value) for key, value in labels.items())
        return cls(job.id, job.type, job.attempt, payload, job.timeout, job.losses, size, labels, tries)
