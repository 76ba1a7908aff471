"""The rules by which a job changes. Each transition has a named constructor.

         claim, claim_unfenced         complete, fail, complete_unfenced
queued ────────────────────────► processing ─────────────────────────────► completed | failed
   ▲   ▲                             │  │                                              │
   │   └── release, expire_lease, ───┘  │ expire_lease: too many losses                │
   │       try_again                    └─────────► failed                             │
   └────────────────────────── retry (failed, cancelled) ──────────────────────────────┘

queued ── expire ──► failed            queued, processing ── cancel ──► cancelled
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from google.rpc.code_pb2 import Code

from api_server.domain.attempt import MAX_LONE_LOSSES, Failure, Outcome
from api_server.domain.job import Status
from api_server.domain.transition import NO_WORKER, Call, Change, Guard, Transition

TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.PROCESSING, Status.FAILED, Status.CANCELLED}),
    # Also to itself: see end_solitude.
    Status.PROCESSING: frozenset(Status),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
}
"""For each status, those that a transition leads to."""

WAITING, HELD = (Status.QUEUED,), (Status.PROCESSING,)

CLOCK_TOLERANCE = timedelta(seconds=1)
"""A record is published when its job's next_attempt_time has come by the clock of one API server. The server
that gets the claim may know the database's time less well. It does not refuse the claim for that.
"""

EXPIRED = Failure(Code.DEADLINE_EXCEEDED, "its expire_time passed while it waited", "EXPIRED")
POISON = Failure(Code.ABORTED, f"{MAX_LONE_LOSSES} workers were lost that held only this job", "POISON")


def claim(  # noqa: PLR0913 - the fields of a claim
    job_id: UUID,
    worker_id: str,
    expected_attempt: int,
    now: datetime,
    lease: timedelta,
    expected_type: str | None = None,
    *,
    alone: bool = False,
    content_digest: str = "",
) -> Transition:
    """A worker claims a queued job that was claimed exactly `expected_attempt` times before.

    `alone`: the worker holds only this job, until `end_solitude`. `content_digest`: of what the worker is
    about to run.
    """
    guard = _claimable(expected_attempt, expected_type, now)
    change = _start(worker_id, now, lease, alone=alone)
    return Transition(job_id, guard, change, content_digest=content_digest)


def end_solitude(job_id: UUID, worker_id: str, attempt: int, now: datetime, lease: timedelta) -> Transition:
    """The holder is about to claim other jobs.

    A second call changes nothing: otherwise it would be a way to prolong a lease without heartbeats.
    """
    guard = Guard(HELD, attempt=attempt, worker_id=worker_id, alone=True)
    change = Change(Status.PROCESSING, now, due_time=now + lease, alone=False)
    return Transition(job_id, guard, change)


def claim_unfenced(job_id: UUID, claim_id: str, now: datetime, lease: timedelta) -> Transition:
    """A caller without a worker's name claims a queued job."""
    guard = Guard(WAITING, unexpired_at=now, startable_at=now)
    return Transition(job_id, guard, _start(NO_WORKER, now, lease), claim_id=claim_id)


def complete(
    job_id: UUID, worker_id: str, attempt: int, result: Mapping[str, Any], now: datetime
) -> Transition:
    """The holder reports a result."""
    return Transition(job_id, _held_by(worker_id, attempt), _end(Status.COMPLETED, now), result=result)


def fail(
    job_id: UUID, worker_id: str, attempt: int, failure: Failure, now: datetime, failures: int | None = None
) -> Transition:
    """The holder reports a failure that ends the job.

    `failures`: the number this was decided with; None: any number.
    """
    guard = Guard(HELD, attempt=attempt, worker_id=worker_id, failures=failures)
    return Transition(job_id, guard, _end(Status.FAILED, now, adds_failure=True), failure=failure)


def try_again(
    job_id: UUID,
    worker_id: str,
    attempt: int,
    failure: Failure,
    now: datetime,
    failures: int,
    wait: timedelta,
) -> Transition:
    """The holder reports a failure, and the job waits for `wait` before it is tried again."""
    guard = Guard(HELD, attempt=attempt, worker_id=worker_id, failures=failures)
    change = _queue(now, Outcome.ERRORED, adds_failure=True)
    return Transition(job_id, guard, change, failure=failure, next_attempt_time=now + wait)


def complete_unfenced(
    job_id: UUID, status: Status, result: Mapping[str, Any] | None, failure: Failure | None, now: datetime
) -> Transition:
    """A caller reports the outcome of a job that was claimed without a worker's name."""
    change = _end(status, now, adds_failure=status is Status.FAILED)
    return Transition(job_id, Guard(HELD, worker_id=NO_WORKER), change, result=result, failure=failure)


def release(job_id: UUID, worker_id: str, attempt: int, now: datetime) -> Transition:
    """The holder gives the job back unfinished. The job is due for dispatch at once."""
    return Transition(job_id, _held_by(worker_id, attempt), _queue(now, Outcome.HANDED_BACK))


def expire_lease(
    job_id: UUID,
    worker_id: str,
    attempt: int,
    now: datetime,
    *,
    alone: bool = False,
    lone_losses: int = 0,
    is_lease_over: bool = True,
) -> Transition:
    """The holder is lost: the job is queued again and due for dispatch at once. It fails instead if too many
    workers were lost that held only this job. The end of an unfenced claim (`worker_id` "") counts no loss.

    `alone`: whether the holder holds only this job. `lone_losses`: earlier losses of that kind, which do not
    change while the attempt runs. `is_lease_over`: whether the write requires that the lease has ended.
    """
    guard = Guard(
        HELD,
        attempt=attempt,
        worker_id=worker_id,
        alone=alone,
        lease_over_at=now if is_lease_over else None,
    )
    is_loss = worker_id != NO_WORKER
    is_lone_loss = is_loss and alone
    if is_lone_loss and lone_losses + 1 >= MAX_LONE_LOSSES:
        end = _end(Status.FAILED, now, adds_loss=True, adds_lone_loss=True)
        return Transition(job_id, guard, end, failure=POISON)
    change = _queue(now, Outcome.LOST, adds_loss=is_loss, adds_lone_loss=is_lone_loss)
    return Transition(job_id, guard, change)


def expire(job_id: UUID, now: datetime, job_type: str | None = None) -> Transition:
    """The expire_time of a queued job has passed. `job_type` None: the job is of any type."""
    guard = Guard(WAITING, type=job_type, expired_at=now)
    return Transition(job_id, guard, _end(Status.FAILED, now), failure=EXPIRED)


def cancel(job_id: UUID, call_id: str, reason: str, now: datetime) -> Transition:
    """A caller cancels the job. `call_id`: identifies this call."""
    guard = Guard((Status.QUEUED, Status.PROCESSING), call=Call("cancel_id", call_id))
    failure = Failure(Code.CANCELLED, reason, "CANCELLED")
    return Transition(job_id, guard, _end(Status.CANCELLED, now), failure=failure)


def retry(job_id: UUID, call_id: str, now: datetime, expire_time: datetime | None = None) -> Transition:
    """A caller queues a failed or cancelled job again, due at once. `call_id`: identifies this call.

    `expire_time`: the new one; None: the job keeps its own, which must not have passed.
    """
    guard = Guard(
        (Status.FAILED, Status.CANCELLED),
        call=Call("retry_id", call_id),
        unexpired_at=now if expire_time is None else None,
    )
    change = Change(
        Status.QUEUED, now, due_time=now, worker_id=NO_WORKER, starts_over=True, expire_time=expire_time
    )
    return Transition(job_id, guard, change)


# Jobs that change together share these parts, so each part is made once.


@lru_cache(maxsize=64)
def _claimable(attempt: int, job_type: str | None, now: datetime) -> Guard:
    return Guard(
        WAITING, attempt=attempt, type=job_type, unexpired_at=now, startable_at=now + CLOCK_TOLERANCE
    )


@lru_cache(maxsize=64)
def _held_by(worker_id: str, attempt: int) -> Guard:
    return Guard(HELD, attempt=attempt, worker_id=worker_id)


@lru_cache(maxsize=64)
def _start(worker_id: str, now: datetime, lease: timedelta, *, alone: bool = False) -> Change:
    return Change(
        Status.PROCESSING,
        now,
        now + lease,
        worker_id=worker_id,
        adds_attempt=True,
        start_time=now,
        alone=alone or None,
    )


@lru_cache(maxsize=64)
def _end(
    status: Status,
    now: datetime,
    *,
    adds_failure: bool = False,
    adds_loss: bool = False,
    adds_lone_loss: bool = False,
) -> Change:
    # The worker_id stays: it shows who held the job when it ended.
    return Change(
        status,
        now,
        due_time=None,
        end_time=now,
        adds_failure=adds_failure,
        adds_loss=adds_loss,
        adds_lone_loss=adds_lone_loss,
    )


def _queue(
    now: datetime,
    ended: Outcome,
    *,
    adds_failure: bool = False,
    adds_loss: bool = False,
    adds_lone_loss: bool = False,
) -> Change:
    return Change(
        Status.QUEUED,
        now,
        due_time=now,
        worker_id=NO_WORKER,
        ended=ended,
        adds_failure=adds_failure,
        adds_loss=adds_loss,
        adds_lone_loss=adds_lone_loss,
    )
