"""Groups the calls of many clients, each about one job, into few statements."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from api_server.domain.errors import AnswerTooLarge
from api_server.domain.job import Job
from api_server.domain.payload_size import size_or_least
from api_server.domain.resolution import Applied
from api_server.domain.transition import Transition
from api_server.ports import JobStore
from api_server.services.read_room import ReadRoom
from api_server.services.ready_jobs import ReadyJobs
from contract_runtime.errors import ServiceError
from service_runtime.group_commit import GroupCommit, Item

OVERHEAD_BYTES = 1000
"""Bytes of a job besides its payload, roughly."""
LARGE = 64 * 1024
"""Bytes of a payload or a result that take 10 ms to convert at worst."""
LARGE_AT_A_TIME = 2
LARGE_WAIT_SECONDS = 5.0
"""How long a large job waits for its turn. Workers read the payloads of many large jobs at once."""
SMALL_BYTES = 8 * 1024
"""Jobs up to this size (BSON) always fit into one read together."""


class NotRead(Enum):
    """Stands for a job that was not read along with others."""

    READ_ALONE = "the job is too large, and must be read by itself"


def is_large(job: Job) -> bool:
    """Whether converting the job takes so long that it would delay other calls."""
    # A job that was read is measured by its document: the store knows that size, and a new job has no result.
    return (job.stored_size or size_or_least(job.payload_size, job.payload)) > LARGE


class JobGroups:
    """Writes and reads single jobs of a JobStore: calls that wait at the same time go together."""

    def __init__(self, store: JobStore, ready: ReadyJobs) -> None:
        self._store = store
        self._ready = ready
        self._inserts: GroupCommit[tuple[Job, datetime], Job] = GroupCommit(self.insert_all)
        self._reads: GroupCommit[UUID, Job | NotRead | None] = GroupCommit(self._get_all)
        self._large = ReadRoom(LARGE_AT_A_TIME, wait_seconds=LARGE_WAIT_SECONDS)
        self._transitions: GroupCommit[Transition, Applied] = GroupCommit(store.apply)

    async def insert(self, job: Job, due_time: datetime) -> Job:
        """See JobStore.insert_all. Raises the job's own error, or StoreUnavailable."""
        return await self._inserts.do(Item((job, due_time), _size(job.payload_size, job.payload), key=job.id))

    async def insert_all(self, jobs: Sequence[tuple[Job, datetime]]) -> Sequence[Job | ServiceError]:
        """See JobStore.insert_all. Stored jobs are dispatched even when their callers have gone."""
        outcomes = await self._store.insert_all(jobs)
        for outcome, (_, due_time) in zip(outcomes, jobs, strict=True):
            if isinstance(outcome, Job):
                self._ready.offer(outcome, due_time)
        return outcomes

    @asynccontextmanager
    async def reading(self, job_id: UUID) -> AsyncIterator[Job | None]:
        """The job, to be converted inside the block; None: no such job. Raises StoreUnavailable.

        LARGE_AT_A_TIME large jobs at most are in memory and being converted. Small jobs never wait for them.
        Raises ReadsOverloaded if a large job gets no turn in time.
        """
        job = await self._reads.do(Item(job_id, OVERHEAD_BYTES))
        if job is None or (isinstance(job, Job) and not is_large(job)):
            yield job
            return
        if self._large.is_full:
            # Reading the job again costs less memory than keeping it while it waits.
            job = NotRead.READ_ALONE
        async with self._large.place():
            if isinstance(job, NotRead):
                [job] = await self._store.get_all([job_id])
            yield job

    async def apply(self, transition: Transition, result_size: int | None = None) -> Applied:
        """See JobStore.apply. Raises the job's own error, or StoreUnavailable.

        `result_size`: bytes of the transition's result; None: not measured.
        """
        size = _size(result_size, transition.result or {})
        return await self._transitions.do(Item(transition, size, key=transition.job_id))

    async def _get_all(self, job_ids: Sequence[UUID]) -> Sequence[Job | NotRead | None]:
        """A caller that asked for one job is not refused because others asked for large ones."""
        try:
            return await self._store.get_all(job_ids)
        except AnswerTooLarge:
            sizes = await self._store.sizes(job_ids)
            small = [job_id for job_id in job_ids if sizes.get(job_id, 0) <= SMALL_BYTES]
            found = dict(zip(small, await self._store.get_all(small), strict=True)) if small else {}
            return [found.get(job_id, NotRead.READ_ALONE) for job_id in job_ids]


def _size(measured: int | None, data: Mapping[str, Any]) -> int:
    return OVERHEAD_BYTES + size_or_least(measured, data)
