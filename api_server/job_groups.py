"""Calls of many clients, each about one job, as few statements."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from api_server.domain.errors import AnswerTooLarge
from api_server.domain.job import Job
from api_server.domain.judgement import Taken
from api_server.domain.payload_size import least_bytes
from api_server.domain.transition import Transition
from api_server.group_commit import GroupCommit, Item
from api_server.ports import JobStore
from service_runtime.errors import ServiceError

OVERHEAD_BYTES = 1000
"""What a job takes besides its payload, roughly."""
ENOUGH_BYTES = 4 * 1024 * 1024
"""Sizes are counted up to this."""


class JobGroups:
    """Single jobs in and out of a JobStore: what waits goes together."""

    def __init__(self, store: JobStore, on_insert: Callable[[Job, datetime], None]) -> None:
        """`on_insert` is told of each job that is stored and of its due_time, also when its caller has gone."""
        self._store = store
        self._on_insert = on_insert
        self._inserts: GroupCommit[tuple[Job, datetime], Job] = GroupCommit(self.insert_all)
        self._reads: GroupCommit[UUID, Job | None] = GroupCommit(self._get_all)
        self._steps: GroupCommit[Transition, Taken] = GroupCommit(store.apply)

    async def insert(self, job: Job, due_time: datetime) -> Job:
        """See JobStore.insert_all. Raises the job's own error, or StoreUnavailable."""
        return await self._inserts.do(Item((job, due_time), _size(job.payload), key=job.id))

    async def insert_all(self, jobs: Sequence[tuple[Job, datetime]]) -> Sequence[Job | ServiceError]:
        """See JobStore.insert_all."""
        outcomes = await self._store.insert_all(jobs)
        for outcome, (_, due_time) in zip(outcomes, jobs, strict=True):
            if isinstance(outcome, Job):
                self._on_insert(outcome, due_time)
        return outcomes

    async def get(self, job_id: UUID) -> Job | None:
        """See JobStore.get_all. Raises StoreUnavailable."""
        return await self._reads.do(Item(job_id, OVERHEAD_BYTES))

    async def apply(self, transition: Transition) -> Taken:
        """See JobStore.apply. Raises the job's own error, or StoreUnavailable."""
        return await self._steps.do(Item(transition, _size(transition.result or {}), key=transition.job_id))

    async def _get_all(self, job_ids: Sequence[UUID]) -> Sequence[Job | None]:
        """Those who ask for one job each are not refused because others' are large."""
        try:
            return await self._store.get_all(job_ids)
        except AnswerTooLarge:
            half = len(job_ids) // 2
            return [*await self._get_all(job_ids[:half]), *await self._get_all(job_ids[half:])]


def _size(value: Any) -> int:
    return OVERHEAD_BYTES + least_bytes(value, ENOUGH_BYTES)
