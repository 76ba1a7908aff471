"""The rules by which a job changes, each change a named constructor.

           claim, take                complete, fail, conclude
queued ─────────────────► processing ──────────────────────────► completed | failed
   ▲   ▲                      │  │                                           │
   │   └── hand_back, lapse ──┘  │ poisoned                                  │
   │       try_again             └─────────► failed                          │
   └───────────────────── retry (failed, cancelled) ─────────────────────────┘

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
    # To itself: see end_solitude.
    Status.PROCESSING: frozenset(Status),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELLED: frozenset({Status.QUEUED}),
}
"""From each status, those that some transition leads to."""

WAITING, HELD = (Status.QUEUED,), (Status.PROCESSING,)

EXPIRED = Failure(Code.DEADLINE_EXCEEDED, "its expire_time was over while it waited", "EXPIRED")
POISON = Failure(Code.ABORTED, f"{MAX_LONE_LOSSES} workers were lost with nothing else in hand", "POISON")


def claim(
    job_id: UUID,
    worker_id: str,
    expected_attempt: int,
    now: datetime,
    lease: timedelta,
    expected_type: str | None = None,
    *,
    alone: bool = False,
) -> Transition:
    """A worker takes a queued job that had exactly `expected_attempt` claims. It does not look at the time to start: its
    record was published because that had come. `alone`: it has nothing else in hand, until `end_solitude`.
    """
    guard = _claimable(expected_attempt, expected_type, now)
    return Transition(job_id, guard, _start(worker_id, now, lease, alone=alone))


def end_solitude(job_id: UUID, worker_id: str, attempt: int, now: datetime, lease: timedelta) -> Transition:
    """The holder is about to take other jobs beside this one."""
    change = Change(Status.PROCESSING, now, due_time=now + lease, alone=False)
    return Transition(job_id, _held_by(worker_id, attempt), change)


def claim_unfenced(job_id: UUID, claim_id: str, now: datetime, lease: timedelta) -> Transition:
    """Somebody takes a queued job without a worker's name."""
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
    """The holder reports a failure that is the last one, as decided from `failures` (None: whatever they are)."""
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
    """The holder reports a failure after which the job waits for `wait` and is tried again."""
    guard = Guard(HELD, attempt=attempt, worker_id=worker_id, failures=failures)
    change = _queue(now, Outcome.ERRORED, adds_failure=True)
    return Transition(job_id, guard, change, failure=failure, next_attempt_time=now + wait)


def complete_unfenced(
    job_id: UUID, status: Status, result: Mapping[str, Any] | None, failure: Failure | None, now: datetime
) -> Transition:
    """Somebody reports the outcome of a job that was taken without a worker's name."""
    change = _end(status, now, adds_failure=status is Status.FAILED)
    return Transition(job_id, Guard(HELD, worker_id=NO_WORKER), change, result=result, failure=failure)


def release(job_id: UUID, worker_id: str, attempt: int, now: datetime) -> Transition:
    """The holder gives the job back unfinished; it is due for dispatch at once."""
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
    """The holder is lost: the job waits again, due for dispatch at once, or has failed if that was one loss too many with
    nothing else in hand. A holder without a worker's name (`worker_id` "") is no loss.

    `alone`: whether the job is all that the holder has in hand. `lone_losses`: those before, which do not move while the
    attempt runs. `is_lease_over`: only if it is.
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


def expire(job_id: UUID, now: datetime) -> Transition:
    """The job has waited until its expire_time."""
    return Transition(job_id, Guard(WAITING, expired_at=now), _end(Status.FAILED, now), failure=EXPIRED)


def cancel(job_id: UUID, call_id: str, reason: str, now: datetime) -> Transition:
    """Somebody calls the job off. `call_id` tells this call from others."""
    guard = Guard((Status.QUEUED, Status.PROCESSING), call=Call("cancel_id", call_id))
    failure = Failure(Code.CANCELLED, reason, "CANCELLED")
    return Transition(job_id, guard, _end(Status.CANCELLED, now), failure=failure)


def retry(job_id: UUID, call_id: str, now: datetime, expire_time: datetime | None = None) -> Transition:
    """Somebody queues a job once more that has failed or was cancelled, at once. `call_id` tells this call from others.

    `expire_time`: its new one; None: it keeps the one it has, which must not be over.
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


# Jobs that take the same step together share its parts, which are made once.


@lru_cache(maxsize=64)
def _claimable(attempt: int, job_type: str | None, now: datetime) -> Guard:
    return Guard(WAITING, attempt=attempt, type=job_type, unexpired_at=now)


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
    # The worker stays: it says who held the job when it ended.
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
