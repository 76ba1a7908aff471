"""The rules by which a job changes, each change a named constructor.

                 claim, take                complete, fail, conclude
      queued ─────────────────► processing ──────────────────────────► completed | failed
         ▲                          │
         └── hand_back, lapse ──────┘

A Transition says when it may happen (its guard) and what it changes. The guard goes into the database write itself, so
two callers can never both succeed with the same step. `judge` says afterwards, from a job that was read, why a write
did not match.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from api_server.domain.errors import JobNotFound, TransitionRefused
from api_server.domain.job import Failure, Job, Status

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.PROCESSING}),
    Status.PROCESSING: frozenset({Status.QUEUED, Status.COMPLETED, Status.FAILED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}
"""From each status, those that some transition leads to."""

NO_WORKER = ""


@dataclass(frozen=True, slots=True)
class Guard:
    """What must be true of the job at the moment of the write. None: does not matter."""

    status: Status
    attempt: int | None = None
    worker_id: str | None = None
    type: str | None = None

    def admits(self, job: Job) -> bool:
        return (
            job.status is self.status
            and self.attempt in (None, job.attempt)
            and self.worker_id in (None, job.worker_id)
            and self.type in (None, job.type)
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What a transition writes, besides adding one to `revision`. None: left as it is.

    `due_time` is when somebody must look at the job again; None: never, the job has ended.
    """

    status: Status
    update_time: datetime
    due_time: datetime | None
    worker_id: str = NO_WORKER
    adds_attempt: bool = False
    start_time: datetime | None = None
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of one job.

    `guard` and `change` are equal for all jobs that take the same step together; `result`, `failure` and `claim_id` are
    the job's own.
    """

    job_id: UUID
    guard: Guard
    change: Change
    result: Mapping[str, Any] | None = field(default=None, hash=False)
    failure: Failure | None = None
    claim_id: str = ""

    @property
    def attempt_after(self) -> int | None:
        """The job's attempt after the step, where the guard knows it."""
        if self.guard.attempt is None:
            return None
        return self.guard.attempt + int(self.change.adds_attempt)

    def was_taken(self, job: Job) -> bool:
        """Whether `job` is as this step leaves it, so that sending it again changes nothing."""
        return (
            self.guard.type in (None, job.type)
            and job.status is self.change.status
            and job.worker_id == self.change.worker_id
            and self.attempt_after in (None, job.attempt)
            and self.claim_id in ("", job.claim_id)
            and job.result == self.result
            and job.failure == self.failure
        )


def claim(
    job_id: UUID,
    worker_id: str,
    expected_attempt: int,
    now: datetime,
    lease: timedelta,
    expected_type: str | None = None,
) -> Transition:
    """A worker takes a queued job that had exactly `expected_attempt` claims."""
    change = Change(
        Status.PROCESSING, now, now + lease, worker_id=worker_id, adds_attempt=True, start_time=now
    )
    guard = Guard(Status.QUEUED, attempt=expected_attempt, type=expected_type)
    return Transition(job_id, guard, change)


def take(job_id: UUID, claim_id: str, now: datetime, lease: timedelta) -> Transition:
    """Somebody takes a queued job without a worker's name."""
    change = Change(Status.PROCESSING, now, now + lease, adds_attempt=True, start_time=now)
    return Transition(job_id, Guard(Status.QUEUED), change, claim_id=claim_id)


def complete(
    job_id: UUID, worker_id: str, attempt: int, result: Mapping[str, Any], now: datetime
) -> Transition:
    """The holder reports a result."""
    guard, change = _report(Status.COMPLETED, worker_id, attempt, now)
    return Transition(job_id, guard, change, result=result)


def fail(job_id: UUID, worker_id: str, attempt: int, failure: Failure, now: datetime) -> Transition:
    """The holder reports a failure."""
    guard, change = _report(Status.FAILED, worker_id, attempt, now)
    return Transition(job_id, guard, change, failure=failure)


def conclude(
    job_id: UUID, status: Status, result: Mapping[str, Any] | None, failure: Failure | None, now: datetime
) -> Transition:
    """Somebody reports the outcome of a job that was taken without a worker's name."""
    guard, change = _report(status, NO_WORKER, None, now)
    return Transition(job_id, guard, change, result=result, failure=failure)


def hand_back(job_id: UUID, worker_id: str, attempt: int, now: datetime) -> Transition:
    """The holder gives the job back unfinished; it is due for dispatch at once."""
    guard = Guard(Status.PROCESSING, attempt=attempt, worker_id=worker_id)
    return Transition(job_id, guard, Change(Status.QUEUED, now, due_time=now))


def _report(status: Status, worker_id: str, attempt: int | None, now: datetime) -> tuple[Guard, Change]:
    guard = Guard(Status.PROCESSING, attempt=attempt, worker_id=worker_id)
    return guard, Change(status, now, due_time=None, worker_id=worker_id, end_time=now)


def lapse(now: datetime) -> tuple[Guard, Change]:
    """A lease has run out: the job waits again, due for dispatch at once. For all such jobs, whoever held them."""
    return Guard(Status.PROCESSING), Change(Status.QUEUED, now, due_time=now)


class Verdict(Enum):
    """What a job, read after a write that did not match it, says of that write."""

    TAKEN = "taken"  # an earlier sending of the same step did it
    ELIGIBLE = "eligible"  # nothing is decided: send it again


def judge(transition: Transition, job: Job | None) -> Verdict | JobNotFound | TransitionRefused:
    """What became of `transition`, given the job as read after a write that did not match; an error says why not."""
    if job is None:
        return JobNotFound(transition.job_id)
    if transition.was_taken(job):
        return Verdict.TAKEN
    if transition.guard.admits(job):
        return Verdict.ELIGIBLE
    reason, message = _refusal(transition, job)
    metadata = {"id": str(job.id), "status": job.status.value, "attempt": str(job.attempt)}
    return TransitionRefused(reason, f"job {job.id} {message}", metadata)


def _refusal(transition: Transition, job: Job) -> tuple[str, str]:
    guard, change = transition.guard, transition.change
    if guard.type not in (None, job.type):
        return "WRONG_TYPE", f"is of type {job.type}"
    if guard.attempt is not None and job.attempt > (transition.attempt_after or 0):
        return "ATTEMPT_SUPERSEDED", f"is at attempt {job.attempt}, later than the request's"
    if job.status.is_terminal:
        return "JOB_TERMINAL", f"is {job.status.value} and changes no more"
    if job.worker_id and job.worker_id != (guard.worker_id or change.worker_id):
        return "HELD_BY_WORKER", f"is held by worker {job.worker_id} at attempt {job.attempt}"
    if guard.attempt is not None and (job.attempt != guard.attempt or guard.worker_id):
        return (
            "ATTEMPT_SUPERSEDED",
            f"is {job.status.value} at attempt {job.attempt}; the request's ground is gone",
        )
    return "ILLEGAL_TRANSITION", f"is {job.status.value} and cannot become {change.status.value} now"
