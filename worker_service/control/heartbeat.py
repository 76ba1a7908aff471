"""Tells the API server that this worker lives and what it holds, and hears what the fleet shall do."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog
from google.rpc.code_pb2 import Code

from jobs.v1.fleet_service_pb2 import HeartbeatRequest
from jobs.v1.worker_pb2 import AssignedPartitions, WorkerIdentity, WorkerReport
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed, InFlightJobs
from worker_service.control.registration import register
from worker_service.execution.progress_board import ProgressBoard, job_progress
from worker_service.kafka.offsets import Partition
from worker_service.state.desired_fleet import DesiredFleet
from worker_service.state.totals import Totals

log = structlog.get_logger()

CALL_SECONDS = 2.0
"""Short: a heartbeat that is late is worth less than the next one. Shorter still where leases are short."""
TRIES_A_LEASE = 4
MOST_INTERVALS = 1.5
"""How long a heartbeat may take, so that the next one comes in time for a worker that may miss no more than two."""
LAST_SECONDS = 1.0
"""How long the last heartbeat may take."""
MOST_WORDS = 1000
"""The contract's limit for the words of progress in a heartbeat; the rest goes with the following ones."""
MOST_INT32 = 2**31 - 1


class Heartbeat:
    """Registers the worker, then sends a heartbeat each interval; the API server says how long that is."""

    def __init__(
        self,
        identity: WorkerIdentity,
        api: ApiClient,
        in_flight: InFlightJobs,
        desired: DesiredFleet,
        totals: Totals,
        claimer: Claimer,
        board: ProgressBoard,
        *,
        give_up: Callable[[Claimed], None],
        assignment: Callable[[], Collection[Partition]],
        backoff: Backoff,
    ) -> None:
        """`give_up` is told each job in hand that must not go on."""
        self._identity = identity
        self._api = api
        self._in_flight = in_flight
        self._desired = desired
        self._totals = totals
        self._claimer = claimer
        self._board = board
        self._give_up = give_up
        self._assignment = assignment
        self._backoff = backoff
        self._interval = 1.0
        self._call_seconds = CALL_SECONDS
        self.registered = asyncio.Event()
        self.draining = False
        """Set when the worker shuts down; told with each heartbeat."""

    async def run(self) -> None:
        """Until cancelled: register, then beat. A heartbeat that fails is followed by the next one, soon.

        Raises NameTaken.
        """
        await self._register()
        while True:
            try:
                await self._beat()
            except ApiCallFailed as error:
                log.warning("heartbeat_failed", code=error.code_name, message=error.message)
                if error.code == Code.NOT_FOUND:
                    # Nothing new is taken until it is clear that no other process has taken over this worker's name.
                    self._desired.forget()
                    self.registered.clear()
                    await self._register()
                await self._pause()
                continue
            except Exception:
                # Without heartbeats all jobs in hand are lost, whatever the fault.
                log.exception("heartbeat_failed")
                await self._pause()
                continue
            self._backoff.reset()
            # A wish just heard is confirmed with a heartbeat at once, when no claim that it forbids is under way.
            if self._desired.followed:
                await asyncio.sleep(self._interval)
            elif await self._claimer.follows_wish(self._interval):
                self._desired.follow()
                log.info(
                    "fleet_wish_followed",
                    consuming=self._desired.consuming,
                    stopped_types=sorted(self._desired.stopped_types),
                )

    async def _pause(self) -> None:
        await asyncio.sleep(min(self._backoff.next(), self._interval))

    async def beat_for_the_last_time(self) -> None:
        """After `run` was cancelled: say that nothing is in hand any more, so that a successor has the name at once."""
        if not self.registered.is_set():
            return
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._beat()
        except (ApiCallFailed, TimeoutError) as error:
            log.warning("last_heartbeat_failed", problem=repr(error))

    async def _register(self) -> None:
        answer = await register(self._identity, self._api, self._backoff)
        lease = answer.lease.ToTimedelta().total_seconds()
        self._interval = max(answer.heartbeat_interval.ToTimedelta().total_seconds(), 0.1)
        self._call_seconds = min(
            CALL_SECONDS, max(lease / TRIES_A_LEASE, 0.1), MOST_INTERVALS * self._interval
        )
        self._desired.hear(answer.fleet)
        log.info("registered", consuming=self._desired.consuming, heartbeat_interval=self._interval)
        self.registered.set()

    async def _beat(self) -> None:
        held = dict(self._in_flight.held)
        words = self._board.unsent(MOST_WORDS)
        request = HeartbeatRequest(
            worker_id=self._identity.worker_id,
            # A claim whose answer is on its way may be ours already.
            job_ids=[*held, *self._in_flight.claiming],
            report=self._report(),
            progress=job_progress(words),
        )
        answer = await self._api.heartbeat(request, self._call_seconds)
        self._board.note_sent(words)
        self._stop(answer.stop_job_ids, held)
        self._desired.hear(answer.fleet)

    def _stop(self, job_ids: Iterable[str], held: Mapping[str, Claimed]) -> None:
        """`held` when they were asked about: the answer knows nothing of a claim that came after."""
        for job_id in job_ids:
            claimed = held.get(job_id)
            if claimed is not None and self._in_flight.held.get(job_id) is claimed:
                self._give_up(claimed)

    def _report(self) -> WorkerReport:
        return WorkerReport(
            state=self._state(),
            assignments=assigned_partitions(self._assignment()),
            # While it drains, its name goes to a successor once this is 0.
            in_flight=len(self._in_flight.held) + len(self._in_flight.claiming),
            completed_total=min(self._totals.completed, MOST_INT32),
            failed_total=min(self._totals.failed, MOST_INT32),
            fleet_revision=self._desired.followed_revision,
        )

    def _state(self) -> "WorkerReport.State.ValueType":
        if self.draining:
            return WorkerReport.State.draining
        if any(self._desired.allows(job_type) for job_type in self._identity.types):
            return WorkerReport.State.consuming
        return WorkerReport.State.paused


def assigned_partitions(partitions: Collection[Partition]) -> list[AssignedPartitions]:
    """Partitions by topic, both in order."""
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for topic, partition in sorted(partitions):
        by_topic[topic].append(partition)
    return [AssignedPartitions(topic=topic, partitions=numbers) for topic, numbers in by_topic.items()]
