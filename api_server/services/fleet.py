"""The workers: which of them live, which jobs they hold, and whether they should consume."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import structlog

from api_server.domain.errors import WorkerNameTaken, WorkerNotFound, WorkerNotRegistered, WorkerSessionWrong
from api_server.domain.fleet import Fleet, OneType, OneWorker, Part, Worker, WorkerIdentity, WorkerReport
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.domain.job import ProgressNote
from api_server.ports import Availability, Clock, FleetStore, LeaseStore, WorkerStore
from api_server.services.fleet_fence import FENCE_SECONDS
from api_server.services.unknown_type import unknown_type
from api_server.stats_ports import JobTypes

log = structlog.get_logger()

CONFIRMATION_TIMEOUT = 5.0
"""Seconds that SetFleet waits for the workers."""
CONFIRMATION_POLL = 0.05
REMEDY = "add these types, or *, to JOB_TYPES of the API servers"


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """The desired state, and the jobs that the worker must stop, in the order in which it named them."""

    fleet: Fleet
    stop: list[UUID]


class FleetService:
    """See the contract's comments on RegisterWorker, Heartbeat, SetFleet and GetFleet.

    Every call raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(
        self,
        workers: WorkerStore,
        fleet: FleetStore,
        leases: LeaseStore,
        clock: Clock,
        times: HeartbeatTimes,
        job_types: JobTypes,
        availability: Availability,
    ) -> None:
        self._workers = workers
        self._fleet = fleet
        self._leases = leases
        self._clock = clock
        self._availability = availability
        self.times = times
        self.job_types = job_types

    async def register(self, identity: WorkerIdentity, session: str = "") -> Fleet:
        """Register a worker and its job types, and end the leases of the dead holder of its name.

        `session`: the hash of the worker's secret. Returns the desired state. Raises WorkerNameTaken,
        WorkerSessionWrong.
        """
        holder = await self._workers.take_name(identity, self._is_gone, self._clock.now(), session)
        if holder.identity.worker_id != identity.worker_id:
            raise WorkerNameTaken(holder)
        if holder.session != session:
            raise WorkerSessionWrong(identity.worker_id)
        if holder.predecessor:
            # Repeated when it registers again: the server that gave it the name may have died before this.
            ended = await self._leases.release_all(holder.predecessor, self._clock.now())
            log.info(
                "worker_replaced",
                name=identity.name,
                worker_id=holder.predecessor,
                leases_ended=ended.count,
            )
        await self.job_types.register(identity.types)
        log.info("worker_registered", worker_id=identity.worker_id, host=identity.host, pid=identity.pid)
        if untaken := [each for each in identity.types if each not in self.job_types]:
            log.warning("job_types_not_taken", worker_id=identity.worker_id, types=untaken, remedy=REMEDY)
        return await self._fleet.fleet()

    def _is_gone(self, worker: Worker) -> bool:
        """Whether a worker has ended in order, or counts as dead.

        A silent worker is dead only if this server could have received its heartbeats: an outage, or a pause
        of this process, evicts nobody.
        """
        if worker.has_ended or not self._is_silent(worker):
            return worker.has_ended
        # Asked last: a pause of this process right here is noticed too.
        unbroken = self._availability.unbroken_seconds()
        return unbroken is not None and unbroken >= self.times.max_silence.total_seconds()

    def _is_silent(self, worker: Worker) -> bool:
        return self._clock.now() - worker.last_heartbeat_time > self.times.max_silence

    async def heartbeat(
        self,
        worker_id: str,
        job_ids: Sequence[UUID],
        report: WorkerReport,
        progress: Sequence[ProgressNote] = (),
    ) -> HeartbeatAnswer:
        """Store a worker's report and progress, and move its leases. Raises WorkerNotRegistered."""
        now = self._clock.now()
        if job_ids:
            # First, because a lease that runs out costs a job.
            await self._leases.move_leases(worker_id, job_ids, now, self.times.lease.total_seconds())
        # A worker also names jobs that it is still claiming. It has not ended before it knows those outcomes.
        report = replace(report, in_flight=max(report.in_flight, len(job_ids)))
        if not await self._workers.heartbeat(worker_id, report, now):
            raise WorkerNotRegistered(worker_id)
        if progress:
            await self._leases.note_progress(worker_id, progress, now)
        held = await self._leases.still_held(worker_id, job_ids) if job_ids else set()
        return HeartbeatAnswer(await self._fleet.fleet(), [each for each in job_ids if each not in held])

    async def set_consuming(self, consuming: bool, part: Part | None = None) -> tuple[Fleet, list[str]]:
        """Store whether `part` should consume (None: all), and wait for the live workers to confirm.

        Returns the new desired state, and the workers that did not confirm within CONFIRMATION_TIMEOUT.
        Raises InvalidArgument for an unknown type, and WorkerNotFound if an unknown worker is to be stopped.
        """
        await self._check(consuming, part)
        fleet = await self._fleet.change(lambda desired: desired.with_consuming(consuming, part))
        log.info("fleet_set", consuming=consuming, part=str(part or "all"), revision=fleet.revision)
        stored_at = asyncio.get_running_loop().time()
        while pending := await self._pending(fleet):
            if asyncio.get_running_loop().time() >= stored_at + CONFIRMATION_TIMEOUT:
                break
            await asyncio.sleep(CONFIRMATION_POLL)
        if not consuming:
            # A frozen worker confirms nothing. From this time on no API server takes its claims any more.
            await asyncio.sleep(stored_at + FENCE_SECONDS - asyncio.get_running_loop().time())
        return fleet, pending

    async def _check(self, consuming: bool, part: Part | None) -> None:
        match part:
            case OneType(job_type):
                await self.job_types.look_up([job_type])
                if job_type not in self.job_types:
                    raise unknown_type("part.type", job_type, self.job_types)
            case OneWorker(name) if not consuming:
                if all(worker.identity.name != name for worker in await self._workers.workers()):
                    raise WorkerNotFound(name)

    async def _pending(self, fleet: Fleet) -> list[str]:
        """Workers that have not confirmed and may claim jobs. After an outage, silent workers may live."""
        return [
            worker.identity.worker_id
            for worker in await self._workers.workers()
            if worker.report.state != "draining"
            and worker.report.fleet_revision < fleet.revision
            and not self._is_gone(worker)
        ]

    async def fleet(self) -> tuple[Fleet, list[Worker]]:
        """The desired state, and all workers that have not ended in order.

        The state of a silent worker is `lost`. A consuming worker without a partition is `idle`.
        """
        fleet, workers = await self._fleet.fleet(), await self._workers.workers()
        return fleet, [self._as_of_now(worker) for worker in workers if not self._has_left(worker)]

    def _has_left(self, worker: Worker) -> bool:
        """Whether it reported its end, or fell silent while it drained."""
        return worker.has_ended or (self._is_silent(worker) and worker.report.state == "draining")

    def _as_of_now(self, worker: Worker) -> Worker:
        report = worker.report
        if self._is_silent(worker):
            report = replace(report, state="lost", assignments={}, in_flight=0, busy_types=())
        elif report.state == "consuming" and not report.assignments:
            report = replace(report, state="idle")
        return replace(worker, report=report)
