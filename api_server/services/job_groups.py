"""Calls of many clients, each about one job, as few statements."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from api_server.domain.errors import AnswerTooLarge
from api_server.domain.job import Job
from api_server.domain.payload_size import least_bytes
from api_server.domain.resolution import Applied
from api_server.domain.transition import Transition
from api_server.ports import JobStore
from contract_runtime.errors import ServiceError
from service_runtime.group_commit import GroupCommit, Item

OVERHEAD_BYTES = 1000
"""What a job takes besides its payload, roughly."""
ENOUGH_BYTES = 4 * 1024 * 1024
"""Sizes are counted up to this."""
LARGE = 64 * 1024
"""Bytes of a payload or a result, some 10 ms of work at worst."""
LARGE_AT_A_TIME = 2
SMALL_BYTES = 8 * 1024
"""As many jobs as go together, each no larger than this (BSON), fit into one read."""

T = TypeVar("T")


class Kept(Enum):
    """What stands for a job that is not given yet."""

    BACK = "it is to be read by itself"


def is_large(job: Job) -> bool:
    """Whether a job takes so long to convert that other calls would have to wait."""
    return any(least_bytes(part, LARGE + 1) > LARGE for part in (job.payload, job.result or {}))


class JobGroups:
    """Single jobs in and out of a JobStore: what waits goes together."""

    def __init__(self, store: JobStore, on_insert: Callable[[Job, datetime], None]) -> None:
        """`on_insert` is told of each job that is stored and of its due_time, also when its caller has gone."""
        self._store = store
        self._on_insert = on_insert
        self._inserts: GroupCommit[tuple[Job, datetime], Job] = GroupCommit(self.insert_all)
        self._reads: GroupCommit[UUID, Job | Kept | None] = GroupCommit(self._get_all)
        self._large = asyncio.Semaphore(LARGE_AT_A_TIME)
        self._steps: GroupCommit[Transition, Applied] = GroupCommit(store.apply)

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

    async def get(self, job_id: UUID, then: Callable[[Job | None], Awaitable[T]]) -> T:
        """What `then` makes of the job. Of large ones few are in memory, and being made something of, at a time; small ones
        wait for none of them. Raises StoreUnavailable, and what `then` raises.
        """
        job = await self._reads.do(Item(job_id, OVERHEAD_BYTES))
        if job is None or (isinstance(job, Job) and not is_large(job)):
            return await then(job)
        if self._large.locked():
            job = Kept.BACK  # Let go of it: to read it again takes less than it would hold until then.
        async with self._large:
            if isinstance(job, Kept):
                [job] = await self._store.get_all([job_id])
            return await then(job)

    async def apply(self, transition: Transition) -> Applied:
        """See JobStore.apply. Raises the job's own error, or StoreUnavailable."""
        return await self._steps.do(Item(transition, _size(transition.result or {}), key=transition.job_id))

    async def _get_all(self, job_ids: Sequence[UUID]) -> Sequence[Job | Kept | None]:
        """Those who ask for one job each are not refused because others' are large."""
        try:
            return await self._store.get_all(job_ids)
        except AnswerTooLarge:
            sizes = await self._store.sizes(job_ids)
            small = [job_id for job_id in job_ids if sizes.get(job_id, 0) <= SMALL_BYTES]
            found = dict(zip(small, await self._store.get_all(small), strict=True)) if small else {}
            return [found.get(job_id, Kept.BACK) for job_id in job_ids]


def _size(value: Any) -> int:
    return OVERHEAD_BYTES + least_bytes(value, ENOUGH_BYTES)
