"""Keeps account of the workers: who lives, what they hold, and what they are wished to do."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from api_server.domain.errors import WorkerNotRegistered
from api_server.domain.fleet import Fleet, Worker, WorkerIdentity, WorkerReport
from api_server.ports import Clock, FleetStore, JobStore

log = structlog.get_logger()

CONFIRMATION_TIMEOUT = 5.0
"""Seconds that SetFleet waits for the workers."""
CONFIRMATION_POLL = 0.05
MISSED_HEARTBEATS = 3
"""A worker is lost when its latest heartbeat is older than this many intervals: it missed two, and had time for one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a claim is held without a heartbeat, and how often heartbeats come."""

    lease: timedelta
    heartbeat_interval: timedelta


class FleetService:
    """See the worker calls in proto/jobs/v1/job_service.proto."""

    def __init__(self, fleet: FleetStore, jobs: JobStore, clock: Clock, pace: Pace) -> None:
        self._fleet = fleet
        self._jobs = jobs
        self._clock = clock
        self.pace = pace

    async def register(self, identity: WorkerIdentity) -> Fleet:
        """Make a worker known; the fleet's wish for it."""
        await self._fleet.register(identity, self._clock.now())
        log.info("worker_registered", worker_id=identity.worker_id, host=identity.host, pid=identity.pid)
        return await self._fleet.fleet()

    async def heartbeat(self, worker_id: str, job_ids: Sequence[UUID], report: WorkerReport) -> Fleet:
        """Note that a worker lives and move its leases. Raises WorkerNotRegistered."""
        now = self._clock.now()
        if job_ids:
            await self._jobs.move_leases(worker_id, job_ids, now, self.pace.lease.total_seconds())
        if not await self._fleet.heartbeat(worker_id, report, now):
            raise WorkerNotRegistered(worker_id)
        return await self._fleet.fleet()

    async def set_consuming(self, consuming: bool) -> tuple[Fleet, list[str]]:
        """Store the wish and wait for the live workers; who has not confirmed within CONFIRMATION_TIMEOUT."""
        fleet = await self._fleet.set_consuming(consuming)
        log.info("fleet_set", consuming=fleet.consuming, revision=fleet.revision)
        deadline = asyncio.get_running_loop().time() + CONFIRMATION_TIMEOUT
        while pending := await self._pending(fleet):
            if asyncio.get_running_loop().time() >= deadline:
                break
            await asyncio.sleep(CONFIRMATION_POLL)
        return fleet, pending

    async def _pending(self, fleet: Fleet) -> list[str]:
        _, workers = await self.fleet()
        return [
            worker.identity.worker_id
            for worker in workers
            if worker.report.state not in ("lost", "draining")
            and worker.report.fleet_revision < fleet.revision
        ]

    async def fleet(self) -> tuple[Fleet, list[Worker]]:
        """The wish, and all workers: those gone silent as lost, without those that ended in order."""
        fleet, workers = await self._fleet.fleet(), await self._fleet.workers()
        silent_since = self._clock.now() - MISSED_HEARTBEATS * self.pace.heartbeat_interval
        live = [worker for worker in workers if worker.last_heartbeat_time >= silent_since]
        lost = [
            replace(worker, report=replace(worker.report, state="lost", assignments={}, in_flight=0))
            for worker in workers
            if worker.last_heartbeat_time < silent_since and worker.report.state != "draining"
        ]
        return fleet, sorted(live + lost, key=lambda worker: worker.identity.worker_id)
