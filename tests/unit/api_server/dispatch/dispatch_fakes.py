"""Fakes of the ports around dispatching. Behaviour with real servers is tested in tests/integration."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Dispatch
from api_server.domain.payload_size import least_bytes
from api_server.domain.record_positions import PartitionState, RecordPosition
from api_server.ports import EndedLeases, Published
from api_server.recovery.ports import DueJob

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make_dispatch(
    payload: Mapping[str, object] | None = None, attempt: int = 0, job_type: str = "compute"
) -> Dispatch:
    payload = {"input": "x"} if payload is None else payload
    return Dispatch(uuid4(), job_type, attempt, payload, payload_size=least_bytes(payload))


def ids(published: Sequence[Published]) -> list[tuple[UUID, int]]:
    """The jobs and attempts."""
    return [(each.job_id, each.attempt) for each in published]


class FixedClock:
    def now(self) -> datetime:
        return NOW


class FakePublisher:
    """A Publisher and a TopicReader. Writes every record to partition 0 of its topic, unless `refuses` says
    otherwise.

    The group has read up to `committed`. A publish waits while `gate` is cleared.
    """

    def __init__(self) -> None:
        self.published: list[Dispatch] = []
        self.batches: list[int] = []
        self.refuses: Callable[[Dispatch], bool] = lambda _: False
        self.committed: dict[str, int] = {}
        self.knows_offsets = True
        self.asked: list[tuple[str, set[int]]] = []
        self.ends: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish(self, dispatches: Sequence[Dispatch]) -> list[RecordPosition | None]:
        await self.gate.wait()
        self.batches.append(len(dispatches))
        return [None if self.refuses(dispatch) else self._written(dispatch) for dispatch in dispatches]

    def _written(self, dispatch: Dispatch) -> RecordPosition:
        self.published.append(dispatch)
        self.ends[dispatch.type] += 1
        return RecordPosition(0, self.ends[dispatch.type] - 1, time=0)

    async def partition_states(
        self, job_type: str, partitions: Collection[int]
    ) -> Mapping[int, PartitionState] | None:
        self.asked.append((job_type, set(partitions)))
        if not self.knows_offsets:
            return None
        return {0: PartitionState(self.committed.get(job_type), 0, self.ends[job_type], first_time=0)}


class FakeDueStore:
    """Returns `jobs` as due until they are marked. `expired`: the number of leases that have run out.

    `poison`: what the next call that ends leases fails.
    """

    def __init__(self) -> None:
        self.jobs: list[DueJob] = []
        self.marked: list[Published] = []
        self.expired_ids: list[UUID] = []
        self.statements = 0
        self.reads = 0
        self.expired = 0
        self.keeps_expired = False
        self.poison: dict[str, int] = {}
        self.reachable = True

    async def expire_leases(self, _now: datetime, limit: int) -> EndedLeases:
        count = min(limit, self.expired)
        self.expired -= count
        poison, self.poison = self.poison, {}
        return EndedLeases(count, poison)

    async def expire(self, _job_type: str, job_ids: Sequence[UUID], _now: datetime) -> int:
        if self.keeps_expired:
            return 0
        self.expired_ids += job_ids
        self.jobs = [job for job in self.jobs if job.dispatch.job_id not in job_ids]
        return len(job_ids)

    async def has_due(self, job_types: Sequence[str], now: datetime) -> bool:
        self.reads += 1
        return any(self._due(job_type, now) for job_type in job_types)

    async def due(
        self, job_type: str, now: datetime, limit: int, after: datetime | None = None
    ) -> list[DueJob]:
        self.reads += 1
        return self._due(job_type, now, after)[:limit]

    def _due(self, job_type: str, now: datetime, after: datetime | None = None) -> list[DueJob]:
        marked = {each.job_id for each in self.marked}
        return [
            job
            for job in self.jobs
            if job.dispatch.type == job_type
            and job.dispatch.job_id not in marked
            and job.due_time <= now
            and (after is None or job.due_time > after)
        ]

    async def mark_published(self, published: Sequence[Published], _now: datetime) -> None:
        self.statements += 1
        if not self.reachable:
            raise StoreUnavailable
        self.marked += published


class FakeLease:
    """One lease as the database keeps it, in the seconds of `time`."""

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
