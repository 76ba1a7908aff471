"""Small stand-ins for the ports around dispatching; behaviour with real servers is tested in tests/integration."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Dispatch
from api_server.ports import DueJob

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_dispatch(
    payload: Mapping[str, object] | None = None, attempt: int = 0, job_type: str = "compute"
) -> Dispatch:
    return Dispatch(uuid4(), job_type, attempt, {"input": "x"} if payload is None else payload)


class FixedClock:
    def now(self) -> datetime:
        return NOW


class FakePublisher:
    """Takes everything unless told otherwise; `gate` holds it up while it is cleared."""

    def __init__(self) -> None:
        self.published: list[Dispatch] = []
        self.batches: list[int] = []
        self.refuses: Callable[[Dispatch], bool] = lambda _: False
        self.lag: Mapping[str, int] | None = {}
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, dispatches: Sequence[Dispatch]) -> list[bool]:
        await self.gate.wait()
        self.batches.append(len(dispatches))
        written = [not self.refuses(dispatch) for dispatch in dispatches]
        self.published += [
            dispatch for dispatch, is_written in zip(dispatches, written, strict=True) if is_written
        ]
        return written

    async def waiting(self) -> Mapping[str, int] | None:
        return self.lag


class FakeDueStore:
    """Hands out `jobs` by type as due until they are marked; `expired` counts leases that have run out."""

    def __init__(self) -> None:
        self.jobs: list[DueJob] = []
        self.marked: list[tuple[UUID, int]] = []
        self.expired_ids: list[UUID] = []
        self.statements = 0
        self.expired = 0
        self.reachable = True

    async def lapse(self, _now: datetime, limit: int) -> int:
        count = min(limit, self.expired)
        self.expired -= count
        return count

    async def expire(self, job_ids: Sequence[UUID], _now: datetime) -> int:
        self.expired_ids += job_ids
        self.jobs = [job for job in self.jobs if job.dispatch.job_id not in job_ids]
        return len(job_ids)

    async def due(self, job_type: str, _now: datetime, limit: int) -> list[DueJob]:
        marked = {job_id for job_id, _ in self.marked}
        due = [
            job for job in self.jobs if job.dispatch.type == job_type and job.dispatch.job_id not in marked
        ]
        return due[:limit]

    async def mark_published(self, published: Sequence[tuple[UUID, int]], _now: datetime) -> None:
        self.statements += 1
        if not self.reachable:
            raise StoreUnavailable
        self.marked += published


class FakeLease:
    """One lease over `time`, as the database keeps it."""

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._holder = ""
        self._end = 0.0
        self.reachable = True

    async def acquire(self, holder: str, seconds: float) -> bool:
        if not self.reachable:
            raise StoreUnavailable
        if self._holder in ("", holder) or self._time() >= self._end:
            self._holder, self._end = holder, self._time() + seconds
        return self._holder == holder

    async def release(self, holder: str) -> None:
        if self._holder == holder:
            self._holder = ""
