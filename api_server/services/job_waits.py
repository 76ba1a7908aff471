"""Waits for the end of a job."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from api_server.domain.errors import JobNotFound
from api_server.domain.job import Job
from api_server.feed.waits import Notice, Waits
from api_server.ports import JobStore
from api_server.services.job_groups import is_large
from service_runtime.group_commit import GroupCommit, Item

ID_BYTES = 16


class JobWaits:
    """A wait costs the database one look at its beginning, which it shares with others, and nothing while
    nothing happens. The wait for a new job usually needs no look.
    """

    def __init__(self, store: JobStore, waits: Waits, longest: float) -> None:
        """`longest`: seconds; longer waits are cut."""
        self._store = store
        self._waits = waits
        self._looks: GroupCommit[UUID, Job | None] = GroupCommit(self._summaries)
        self.longest = longest

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place for one wait inside the block. Raises TooManyWaits."""
        with self._waits.place():
            yield

    @property
    def position(self) -> int:
        """See Waits.position."""
        return self._waits.position

    async def until_ended(self, job_id: UUID, seconds: float, unended_at: int | None = None) -> Job | None:
        """Return when the job has ended, when the time is over, or when the server stops.

        `unended_at`: a position; the job was read or stored after it, and had not ended. The answer is the
        ended job if it is known without a read, and not large. To be called inside `place`. Raises
        JobNotFound, StoreUnavailable.
        """
        until = asyncio.get_running_loop().time() + min(seconds, self.longest)
        with self._waits.on(job_id, until) as wait:
            # If this process has learned of no end since, it will learn of this job's end.
            notice = await wait.notice() if unended_at == self.position else Notice.LOOK
            while notice is Notice.LOOK and not await self._has_ended(job_id):
                notice = await wait.notice()
            job = wait.ended_job
            return None if job is None or is_large(job) else job

    async def _has_ended(self, job_id: UUID) -> bool:
        job = await self._looks.do(Item(job_id, ID_BYTES))
        if job is None:
            raise JobNotFound(job_id)
        return job.status.is_terminal

    async def _summaries(self, job_ids: Sequence[UUID]) -> list[Job | None]:
        found = await self._store.summaries(job_ids)
        return [found.get(job_id) for job_id in job_ids]
