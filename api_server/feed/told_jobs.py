"""A JobStore that tells waiting calls at once which jobs its transitions have ended."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from api_server.domain.errors import JobIdTaken
from api_server.domain.job import Job
from api_server.domain.listing import JobCount, JobFilter, JobPage, PageRequest, View
from api_server.domain.resolution import Applied
from api_server.domain.retry import Tries
from api_server.domain.transition import Transition
from api_server.feed.waits import Waits
from api_server.ports import JobStore, Outcome
from contract_runtime.errors import InvalidArgument


class ToldJobs:
    """See api_server.ports.JobStore. All calls go to `store`."""

    def __init__(self, store: JobStore, waits: Waits) -> None:
        self._store = store
        self._waits = waits

    async def apply(self, transitions: Sequence[Transition], wanted: Collection[UUID] = ()) -> list[Outcome]:
        if not wanted:
            ending = (each.job_id for each in transitions if each.change.status.is_terminal)
            wanted = self._waits.which_are_about(ending)
        outcomes = await self._store.apply(transitions, wanted)
        for transition, outcome in zip(transitions, outcomes, strict=True):
            if isinstance(outcome, Applied) and outcome.status.is_terminal:
                self._waits.ended(transition.job_id, outcome.job)
        return outcomes

    async def insert_all(
        self, jobs: Sequence[tuple[Job, datetime]]
    ) -> list[Job | JobIdTaken | InvalidArgument]:
        return await self._store.insert_all(jobs)

    async def get_all(self, job_ids: Sequence[UUID], view: View = View.FULL) -> list[Job | None]:
        return await self._store.get_all(job_ids, view)

    async def sizes(self, job_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        return await self._store.sizes(job_ids)

    async def summaries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Job]:
        return await self._store.summaries(job_ids)

    async def tries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Tries]:
        return await self._store.tries(job_ids)

    async def delete(self, job_id: UUID) -> bool:
        return await self._store.delete(job_id)

    async def page(self, wanted: JobFilter, page: PageRequest) -> JobPage:
        return await self._store.page(wanted, page)

    async def count(self, wanted: JobFilter) -> JobCount:
        return await self._store.count(wanted)
