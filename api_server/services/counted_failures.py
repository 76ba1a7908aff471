"""Stores that count the jobs that the server itself fails: those that have expired, and poison."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from api_server.domain.job import ProgressNote
from api_server.ports import EndedLeases, LeaseStore, Published
from api_server.recovery.ports import DueJob, DueStore
from api_server.stats_ports import ActivityLog


class CountedDue:
    """See api_server.recovery.ports.DueStore. All calls go to `store`."""

    def __init__(self, store: DueStore, activity: ActivityLog) -> None:
        self._store = store
        self._activity = activity

    async def expire_leases(self, now: datetime, limit: int) -> EndedLeases:
        ended = await self._store.expire_leases(now, limit)
        _count_poison(ended, self._activity)
        return ended

    async def expire(self, job_type: str, job_ids: Sequence[UUID], now: datetime) -> int:
        count = await self._store.expire(job_type, job_ids, now)
        if count:
            self._activity.failed(job_type, count)
        return count

    async def has_due(self, job_types: Sequence[str], now: datetime) -> bool:
        return await self._store.has_due(job_types, now)

    async def due(
        self, job_type: str, now: datetime, limit: int, after: datetime | None = None
    ) -> list[DueJob]:
        return await self._store.due(job_type, now, limit, after)

    async def mark_published(self, published: Sequence[Published], now: datetime) -> None:
        await self._store.mark_published(published, now)


class CountedLeases:
    """See api_server.ports.LeaseStore. All calls go to `store`."""

    def __init__(self, store: LeaseStore, activity: ActivityLog) -> None:
        self._store = store
        self._activity = activity

    async def release_all(self, worker_id: str, now: datetime) -> EndedLeases:
        ended = await self._store.release_all(worker_id, now)
        _count_poison(ended, self._activity)
        return ended

    async def move_leases(
        self, worker_id: str, job_ids: Sequence[UUID], now: datetime, lease_seconds: float
    ) -> None:
        await self._store.move_leases(worker_id, job_ids, now, lease_seconds)

    async def still_held(self, worker_id: str, job_ids: Sequence[UUID]) -> set[UUID]:
        return await self._store.still_held(worker_id, job_ids)

    async def note_progress(self, worker_id: str, notes: Sequence[ProgressNote], now: datetime) -> None:
        await self._store.note_progress(worker_id, notes, now)


def _count_poison(ended: EndedLeases, activity: ActivityLog) -> None:
    for job_type, count in ended.poison.items():
        activity.failed(job_type, count)
