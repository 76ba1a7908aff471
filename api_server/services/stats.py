"""The jobs in numbers: what waits and runs now, and what happened in the last hour."""

import asyncio
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from api_server.domain.activity import Activity, ByType, Totals, last_minutes, merged
from api_server.domain.job import Status
from api_server.domain.job_type import MAX_COUNTED, MAX_TYPES, Waiting
from api_server.ports import Clock
from api_server.services.live_types import LiveTypes
from api_server.stats_ports import ActivityStore, JobCounts, JobTypes, Oldest

COUNTS_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class TypeStats:
    """One type. `oldest`: since when the oldest waiting job could start; None: none waits that may start."""

    type: str
    queued: Waiting
    processing: Waiting
    oldest_age: timedelta | None
    oldest_is_capped: bool
    totals: Totals
    last_hour: Activity
    has_worker: bool


@dataclass(frozen=True, slots=True)
class StatsReport:
    """`minutes`: each minute with the activity of each type, oldest first."""

    types: Sequence[TypeStats]
    minutes: Sequence[tuple[datetime, ByType]]


@dataclass(frozen=True, slots=True)
class _Facts:
    """All types: those with queued jobs, with jobs in processing and with live workers; and their counts."""

    now: datetime
    queued: AbstractSet[str]
    processing: AbstractSet[str]
    live: AbstractSet[str]
    totals: Mapping[str, Totals]
    last_hour: ByType


class Stats:
    """See Stats in proto/jobs/v1/job_service.proto."""

    def __init__(
        self,
        activity: ActivityStore,
        counts: JobCounts,
        types: JobTypes,
        live_types: LiveTypes,
        clock: Clock,
    ) -> None:
        self._activity = activity
        self._counts = counts
        self._types = types
        self._live_types = live_types
        self._clock = clock
        self._looks = asyncio.Semaphore(COUNTS_AT_A_TIME)

    async def read(self) -> StatsReport:
        """Raises StoreUnavailable."""
        now = self._clock.now()
        starts = last_minutes(now)
        # Read first, because they are stored last: a job in the totals is in a minute, too.
        totals = await self._activity.totals()
        stored = await self._activity.minutes(starts[0])
        minutes = [(start, merged(part for minute, part in stored if minute == start)) for start in starts]
        queued = frozenset(await self._counts.types(Status.QUEUED, MAX_TYPES))
        processing = frozenset(await self._counts.types(Status.PROCESSING, MAX_TYPES))
        facts = _Facts(
            now,
            queued,
            processing,
            await self._live_types.present(),
            totals,
            merged(by_type for _, by_type in minutes),
        )
        known = {*self._types, *queued, *processing, *facts.live, *facts.totals, *facts.last_hour}
        types = [self._type(each, facts) for each in sorted(known)[:MAX_TYPES]]
        return StatsReport(await asyncio.gather(*types), minutes)

    async def _type(self, job_type: str, facts: _Facts) -> TypeStats:
        """A type without jobs in a status costs no look for it."""
        queued = processing = Waiting()
        oldest = Oldest(None)
        async with self._looks:
            if job_type in facts.queued:
                queued = await self._count(Status.QUEUED, job_type)
                oldest = await self._counts.oldest(job_type, facts.now)
            if job_type in facts.processing:
                processing = await self._count(Status.PROCESSING, job_type)
        return TypeStats(
            job_type,
            queued,
            processing,
            None if oldest.since is None else facts.now - oldest.since,
            oldest.is_capped,
            facts.totals.get(job_type, Totals()),
            facts.last_hour.get(job_type, Activity()),
            job_type in facts.live,
        )

    async def _count(self, status: Status, job_type: str) -> Waiting:
        return Waiting.of(await self._counts.count(status, job_type, MAX_COUNTED + 1))
