"""The kinds of jobs in the load, and how each may end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.duration_pb2 import Duration

from job_client._gen.jobs.v1.job_pb2 import RetryPolicy
from job_client._gen.jobs.v1.job_service_pb2 import CreateRequest
from tests.faults.history import CANCELLED, COMPLETED, Ending, Requested

HANDLER_ERROR: Ending = ("failed", "HANDLER_ERROR")
RETRY_AFTER: Ending = ("failed", "RETRY_AFTER")
INVALID_INPUT: Ending = ("failed", "INVALID_INPUT")
EXPIRED: Ending = ("failed", "EXPIRED")
TIMEOUT: Ending = ("failed", "TIMEOUT")
POISON: Ending = ("failed", "POISON")
LABEL = "run"
"""The label of all jobs of a run."""


@dataclass(frozen=True)
class Kind:
    """All times are in seconds.

    share          how many jobs in 100 are of this kind
    delay          from the request to the schedule_time
    expire_after   from the request to the expire_time
    cancel_after   from Create's answer to Cancel
    backoff        the wait after each failure
    """

    share: int
    type: str = "steady"
    seconds: float = 0.005
    payload: Mapping[str, Any] = field(default_factory=dict)
    endings: frozenset[Ending] = frozenset({COMPLETED})
    by_hand: bool = False
    max_attempts: int = 3
    backoff: float | None = None
    timeout: float | None = None
    delay: float | None = None
    expire_after: float | None = None
    cancel_after: float | None = None


KINDS: Mapping[str, Kind] = {
    "short": Kind(47),
    "thread": Kind(8, type="steady-thread", seconds=0.01),
    "process": Kind(4, type="steady-process", seconds=0.01),
    "long": Kind(3, seconds=5.0),
    "refused": Kind(2, payload={"refuse": True}, endings=frozenset({INVALID_INPUT})),
    "failing": Kind(
        4,
        payload={"failures": 99},
        endings=frozenset({HANDLER_ERROR, RETRY_AFTER}),
        max_attempts=2,
        backoff=0.2,
    ),
    "retried": Kind(8, payload={"failures": 2}, max_attempts=4, backoff=0.2),
    "too slow": Kind(2, seconds=60.0, timeout=0.3, endings=frozenset({TIMEOUT}), max_attempts=2, backoff=0.2),
    "scheduled": Kind(7, delay=1.5),
    "expiring": Kind(3, expire_after=1.0, endings=frozenset({COMPLETED, EXPIRED})),
    "cancelled early": Kind(4, delay=60.0, cancel_after=0.2, endings=frozenset({CANCELLED})),
    "cancelled": Kind(4, seconds=1.0, cancel_after=0.5, endings=frozenset({CANCELLED, COMPLETED})),
    "by hand": Kind(4, type="by-hand", by_hand=True),
    # The load has none of these; scenarios send them.
    "brief": Kind(0, seconds=0.02),
    "poison": Kind(0, type="poison", seconds=0.2, endings=frozenset({POISON})),
}
WORKER_TYPES = ("steady", "steady-thread", "steady-process", "poison")
ALL_TYPES = (*WORKER_TYPES, "by-hand")


def request_for(kind: Kind, job_id: str, run: str, ledger: str, now: float) -> CreateRequest:
    """The request for one job of a kind."""
    request = CreateRequest(id=job_id, type=kind.type, labels={LABEL: run})
    request.payload.update({"ledger": ledger, "seconds": kind.seconds, **kind.payload})
    if kind.backoff is not None:
        wait = _duration(kind.backoff)
        request.retry_policy.CopyFrom(
            RetryPolicy(
                max_attempts=kind.max_attempts, initial_backoff=wait, max_backoff=wait, multiplier=1, jitter=0
            )
        )
    if kind.delay is not None:
        request.schedule_time.FromMilliseconds(round((now + kind.delay) * 1000))
    if kind.expire_after is not None:
        request.expire_time.FromMilliseconds(round((now + kind.expire_after) * 1000))
    if kind.timeout is not None:
        request.timeout.CopyFrom(_duration(kind.timeout))
    return request


def requested_job(name: str, kind: Kind, request: CreateRequest) -> Requested:
    """The checker's record of a request that is not acknowledged yet."""
    scheduled, expires = (
        getattr(request, field).ToMilliseconds() / 1000 if request.HasField(field) else None
        for field in ("schedule_time", "expire_time")
    )
    return Requested(
        request.id,
        name,
        kind.type,
        endings=kind.endings,
        acknowledged=False,
        by_hand=kind.by_hand,
        may_error=bool(kind.endings & {HANDLER_ERROR, TIMEOUT}) or "failures" in kind.payload,
        max_attempts=kind.max_attempts,
        least_backoff=kind.backoff or 0.0,
        schedule_time=scheduled,
        expire_time=expires,
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
