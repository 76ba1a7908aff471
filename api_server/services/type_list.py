"""Lists the job types, and logs those whose jobs wait without a worker."""

import asyncio
from collections.abc import Callable

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Status
from api_server.domain.job_type import MAX_COUNTED, MAX_TYPES, TypeState, Waiting, type_states
from api_server.services.fleet import FleetService
from api_server.services.payload_schemas import PayloadSchemas
from api_server.stats_ports import JobCounts, JobTypes

log = structlog.get_logger()

COUNTS_AT_A_TIME = 4
LOOK_EVERY = 60.0
"""Seconds between two looks for types without a worker."""


class TypeList:
    """See ListTypes in proto/jobs/v1/job_service.proto."""

    def __init__(
        self, types: JobTypes, fleet: FleetService, counts: JobCounts, schemas: PayloadSchemas
    ) -> None:
        self._types = types
        self.schemas = schemas
        self._fleet = fleet
        self._counts = counts
        self._looks = asyncio.Semaphore(COUNTS_AT_A_TIME)

    async def states(self) -> list[TypeState]:
        """All types, in order. Raises StoreUnavailable."""
        fleet, workers = await self._fleet.fleet()
        waiting = await self._counts.types(Status.QUEUED, MAX_TYPES)
        counts = await asyncio.gather(*map(self._count, waiting))
        return type_states(self._types, workers, fleet, dict(zip(waiting, counts, strict=True)))

    async def _count(self, job_type: str) -> Waiting:
        async with self._looks:
            return Waiting.of(await self._counts.count(Status.QUEUED, job_type, MAX_COUNTED + 1))

    async def watch(self, is_leader: Callable[[], bool]) -> None:
        """Log types whose jobs wait without a live worker, until cancelled. Only one server logs them."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not is_leader():
                continue
            try:
                states = await self.states()
            except StoreUnavailable:
                continue  # The store has logged the outage.
            except Exception:
                log.exception("types_not_listed")
                continue
            for state in states:
                if state.lacks_worker:
                    log.warning("no_worker_for_type", type=state.type, waiting=state.waiting.count)
