"""Explains why a job does not run now: gathers the facts, from which the domain makes the explanation."""

import asyncio
from uuid import UUID

from api_server.domain.errors import JobNotFound
from api_server.domain.explanation import Explanation, explain
from api_server.domain.job import Job, Status
from api_server.domain.job_facts import Ahead, Facts
from api_server.ports import Clock
from api_server.services.fleet import FleetService
from api_server.stats_ports import JobInspection


class Explanations:
    """See Explain in proto/jobs/v1/job_service.proto."""

    def __init__(self, jobs: JobInspection, fleet: FleetService, clock: Clock) -> None:
        self._jobs = jobs
        self._fleet = fleet
        self._clock = clock

    async def explain(self, job_id: UUID) -> Explanation:
        """Raises JobNotFound and StoreUnavailable."""
        inspected = await self._jobs.inspect(job_id)
        if inspected is None:
            raise JobNotFound(job_id)
        if inspected.job.status.is_terminal:
            return explain(Facts(inspected, self._clock.now()))
        (fleet, workers), ahead = await asyncio.gather(self._fleet.fleet(), self._ahead(inspected.job))
        return explain(Facts(inspected, self._clock.now(), fleet, workers, ahead))

    async def _ahead(self, job: Job) -> Ahead | None:
        may_start = job.status is Status.QUEUED and not job.is_waiting(self._clock.now())
        return await self._jobs.ahead(job) if may_start else None
