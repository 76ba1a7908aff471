"""Keeps account of the workers: who lives, what they hold, and what they are wished to do."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from api_server.domain.errors import WorkerNameTaken, WorkerNotFound, WorkerNotRegistered
from api_server.domain.fleet import Fleet, OneType, OneWorker, Part, Worker, WorkerIdentity, WorkerReport
from api_server.domain.job import ProgressNote
from api_server.ports import Clock, FleetStore, JobStore, WorkerStore
from api_server.services.fleet_fence import FENCE_SECONDS
from contract_runtime.errors import invalid

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

    @property
    def patience(self) -> timedelta:
        """How long a worker may be silent."""
        return MISSED_HEARTBEATS * self.heartbeat_interval


@dataclass(frozen=True, slots=True)
class Answer:
    """To a heartbeat: the wish, and the jobs that the worker must stop, in the order in which it named them."""

    fleet: Fleet
    stop: list[UUID]


class FleetService:
    """See the worker calls in proto/jobs/v1/job_service.proto."""

    def __init__(
        self,
        workers: WorkerStore,
        fleet: FleetStore,
        jobs: JobStore,
        clock: Clock,
        pace: Pace,
        job_types: Collection[str],
        unbroken_seconds: Callable[[], float | None],
    ) -> None:
        """`unbroken_seconds`: for how long heartbeats could be served here; None: they cannot."""
        self._workers = workers
        self._fleet = fleet
        self._jobs = jobs
        self._clock = clock
        self._job_types = tuple(job_types)
        self._unbroken_seconds = unbroken_seconds
        self.pace = pace

    async def register(self, identity: WorkerIdentity) -> Fleet:
        """Make a worker known, and end the leases of the dead one that had its name; the fleet's wish for it.

        Raises WorkerNameTaken.
        """
        holder = await self._workers.take_name(identity, self._is_gone, self._clock.now())
        if holder.identity.worker_id != identity.worker_id:
            raise WorkerNameTaken(holder)
        if holder.predecessor:
            # Also when it registers again: the server that gave it the name may have died before this.
            count = await self._jobs.release_all(holder.predecessor, self._clock.now())
            log.info("worker_replaced", name=identity.name, worker_id=holder.predecessor, leases_ended=count)
        log.info("worker_registered", worker_id=identity.worker_id, host=identity.host, pid=identity.pid)
        return await self._fleet.fleet()

    def _is_gone(self, worker: Worker) -> bool:
        """Whether a worker has ended in order, or is dead for all that can be known.

        Silence is a worker's own only where it could have been heard: an outage, or a server that stood still, evicts
        nobody.
        """
        if worker.has_ended or not self._is_silent(worker):
            return worker.has_ended
        # Asked last: should this process stand still right here, it will know.
        unbroken = self._unbroken_seconds()
        return unbroken is not None and unbroken >= self.pace.patience.total_seconds()

    def _is_silent(self, worker: Worker) -> bool:
        return self._clock.now() - worker.last_heartbeat_time > self.pace.patience

    async def heartbeat(
        self,
        worker_id: str,
        job_ids: Sequence[UUID],
        report: WorkerReport,
        progress: Sequence[ProgressNote] = (),
    ) -> Answer:
        """Note that a worker lives and how far its jobs are, and move its leases. Raises WorkerNotRegistered."""
        now = self._clock.now()
        if job_ids:
            # First, for nothing else is as urgent.
            await self._jobs.move_leases(worker_id, job_ids, now, self.pace.lease.total_seconds())
        # A worker names also the jobs that it is claiming, and is not done before it knows what came of that.
        report = replace(report, in_flight=max(report.in_flight, len(job_ids)))
        if not await self._workers.heartbeat(worker_id, report, now):
            raise WorkerNotRegistered(worker_id)
        if progress:
            await self._jobs.note_progress(worker_id, progress, now)
        held = await self._jobs.still_held(worker_id, job_ids) if job_ids else set()
        return Answer(await self._fleet.fleet(), [job_id for job_id in job_ids if job_id not in held])

    async def set_consuming(self, consuming: bool, part: Part | None = None) -> tuple[Fleet, list[str]]:
        """Store the wish for `part`, or None for all, and wait for the live workers; who has not confirmed within
        CONFIRMATION_TIMEOUT.

        Raises InvalidArgument for an unknown type, and WorkerNotFound where an unknown worker is to be stopped.
        """
        await self._check(consuming, part)
        fleet = await self._fleet.change(lambda desired: desired.wished(consuming, part))
        log.info("fleet_set", consuming=consuming, part=str(part or "all"), revision=fleet.revision)
        stored_at = asyncio.get_running_loop().time()
        while pending := await self._pending(fleet):
            if asyncio.get_running_loop().time() >= stored_at + CONFIRMATION_TIMEOUT:
                break
            await asyncio.sleep(CONFIRMATION_POLL)
        if not consuming:
            # Who is silent confirms nothing: until then no API server takes its claims any more.
            await asyncio.sleep(stored_at + FENCE_SECONDS - asyncio.get_running_loop().time())
        return fleet, pending

    async def _check(self, consuming: bool, part: Part | None) -> None:
        match part:
            case OneType(job_type) if job_type not in self._job_types:
                allowed = ", ".join(self._job_types)
                raise invalid("part.type", "type.known", f"must be one of {allowed}, is {job_type!r}")
            case OneWorker(name) if not consuming:
                if all(worker.identity.name != name for worker in await self._workers.workers()):
                    raise WorkerNotFound(name)

    async def _pending(self, fleet: Fleet) -> list[str]:
        """Those that may take jobs and have not confirmed. After an outage no worker was heard of, and all may live."""
        return [
            worker.identity.worker_id
            for worker in await self._workers.workers()
            if worker.report.state != "draining"
            and worker.report.fleet_revision < fleet.revision
            and not self._is_gone(worker)
        ]

    async def fleet(self) -> tuple[Fleet, list[Worker]]:
        """The wish, and all workers: those gone silent as lost, those without a partition as idle, without those that ended
        in order.
        """
        fleet, workers = await self._fleet.fleet(), await self._workers.workers()
        return fleet, [self._as_of_now(worker) for worker in workers if not self._is_over(worker)]

    def _is_over(self, worker: Worker) -> bool:
        """Whether it has said that it ended, or was on its way to."""
        return worker.has_ended or (self._is_silent(worker) and worker.report.state == "draining")

    def _as_of_now(self, worker: Worker) -> Worker:
        report = worker.report
        if self._is_silent(worker):
            report = replace(report, state="lost", assignments={}, in_flight=0)
        elif report.state == "consuming" and not report.assignments:
            report = replace(report, state="idle")
        return replace(worker, report=report)
