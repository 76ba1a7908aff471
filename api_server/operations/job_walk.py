"""The walk of an operation through the jobs, oldest first."""

from uuid import UUID

from api_server.domain.listing import JobFilter, PageRequest, View
from api_server.domain.operation import Batch, Kind, Operation, jobs_to_change
from api_server.operations.ports import UnfinishedJobs
from api_server.ports import JobStore

BATCH = 200
"""How many jobs are changed together."""
PAGES_BETWEEN = 10
"""After a skip in vain, so many empty pages are walked before the next one is tried: it may take as long as a
page, and there are many unfinished jobs.
"""


class JobWalk:
    """Finds the jobs that are changed next.

    A page of the list examines at most 10,000 jobs. It is empty where all jobs have ended. An operation that
    looks for jobs that have not ended then skips those, however many there are.
    """

    def __init__(self, jobs: JobStore, unfinished: UnfinishedJobs) -> None:
        self._jobs = jobs
        self._unfinished = unfinished
        self._pages_to_walk = 0

    async def next_batch(self, operation: Operation) -> Batch:
        """It may be empty and not the last one."""
        wanted = jobs_to_change(operation.kind, operation.wanted, operation.create_time)
        if wanted is None:
            return Batch((), None)
        page = PageRequest(BATCH, operation.after, oldest_first=True, view=View.BASIC)
        found = await self._jobs.page(wanted, page)
        next_after = found.next_after
        if not found.jobs and next_after is not None and operation.kind is Kind.BULK_CANCEL:
            next_after = await self._skip(wanted, next_after)
        return Batch(tuple(job.id for job in found.jobs), next_after)

    async def _skip(self, wanted: JobFilter, after: UUID) -> UUID | None:
        """The id after which the next page begins; None: no wanted job is left."""
        if self._pages_to_walk:
            self._pages_to_walk -= 1
            return after
        reached = await self._unfinished.skip(wanted, after)
        if reached == after:
            self._pages_to_walk = PAGES_BETWEEN
        return reached
