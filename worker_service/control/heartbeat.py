"""Sends the worker's heartbeats: that it lives and what is in flight.

The answers carry the desired state of the fleet.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import structlog
from google.rpc.code_pb2 import Code

from job_client._gen.jobs.v1.fleet_service_pb2 import HeartbeatRequest
from job_client._gen.jobs.v1.worker_pb2 import AssignedPartitions, WorkerReport
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed
from worker_service.claiming.ports import ClaimedJobs
from worker_service.claiming.worker_state import WorkerState
from worker_service.control.registration import register
from worker_service.execution.progress_board import ProgressBoard, job_progress
from worker_service.kafka.offsets import Partition
from worker_service.kafka.ports import Assignment

log = structlog.get_logger()

CALL_SECONDS = 2.0
"""Short: the next heartbeat is worth more than a late one. Even shorter where leases are short."""
TRIES_A_LEASE = 4
MAX_INTERVALS = 1.5
"""How long a heartbeat may take, in heartbeat intervals. The API server counts a worker as lost after three
intervals of silence, so the next heartbeat still comes in time.
"""
LAST_SECONDS = 1.0
"""How long the last heartbeat may take."""
MAX_PROGRESS = 1000
"""The contract's limit of progress updates in one heartbeat. The rest goes with the next heartbeats."""
MAX_INT32 = 2**31 - 1
REMEDY = "add these types, or *, to JOB_TYPES of the API servers, then restart this worker"


class Heartbeat:
    """Registers the worker, then sends a heartbeat each interval. The API server sets the interval."""

    def __init__(
        self,
        state: WorkerState,
        api: ApiClient,
        claimer: Claimer,
        jobs: ClaimedJobs,
        board: ProgressBoard,
        consumer: Assignment,
        backoff: Backoff,
    ) -> None:
        """`jobs` gives up each held job that the API server tells this worker to stop."""
        self._state = state
        self._in_flight = state.in_flight
        self._desired = state.desired
        self._api = api
        self._claimer = claimer
        self._jobs = jobs
        self._board = board
        self._consumer = consumer
        self._backoff = backoff
        self._interval = 1.0
        self._call_seconds = CALL_SECONDS
        self.registered = asyncio.Event()
        self.draining = False
        """Set when the worker shuts down. Each heartbeat carries it."""

    async def run(self) -> None:
        """Register, then send heartbeats until cancelled. After a failed heartbeat the next one follows soon.

        Raises NameTaken.
        """
        await self._register()
        while True:
            try:
                await self._send()
            except ApiCallFailed as error:
                log.warning("heartbeat_failed", code=error.code_name, message=error.message)
                if error.code == Code.NOT_FOUND:
                    # No new job is claimed until it is clear that no other process has taken this worker's
                    # name.
                    self._desired.reset()
                    self.registered.clear()
                    await self._register()
                await self._pause()
                continue
            except Exception:
                # Without heartbeats all jobs in flight are lost, whatever the fault.
                log.exception("heartbeat_failed")
                await self._pause()
                continue
            self._backoff.reset()
            # A new desired state is confirmed with a heartbeat at once, as soon as no claim that it forbids
            # is under way.
            if self._desired.is_followed:
                await asyncio.sleep(self._interval)
            elif await self._claimer.wait_until_desired(self._interval):
                self._desired.mark_followed()
                log.info(
                    "desired_state_followed",
                    consuming=self._desired.consuming,
                    stopped_types=sorted(self._desired.stopped_types),
                )

    async def _pause(self) -> None:
        await asyncio.sleep(min(self._backoff.next(), self._interval))

    async def send_last(self) -> None:
        """After `run` was cancelled: report that no job is in flight, so a successor gets the name."""
        if not self.registered.is_set():
            return
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await self._send()
        except (ApiCallFailed, TimeoutError) as error:
            log.warning("last_heartbeat_failed", problem=repr(error))

    async def _register(self) -> None:
        answer = await register(self._state.identity, self._api, self._backoff, self._state.schemas)
        lease = answer.lease.ToTimedelta().total_seconds()
        self._interval = max(answer.heartbeat_interval.ToTimedelta().total_seconds(), 0.1)
        self._call_seconds = min(
            CALL_SECONDS, max(lease / TRIES_A_LEASE, 0.1), MAX_INTERVALS * self._interval
        )
        self._desired.receive(answer.fleet)
        self._state.untaken_types = frozenset(answer.untaken_types)
        if answer.untaken_types:
            log.warning("job_types_not_taken", types=list(answer.untaken_types), remedy=REMEDY)
        log.info("registered", consuming=self._desired.consuming, heartbeat_interval=self._interval)
        self.registered.set()

    async def _send(self) -> None:
        held = dict(self._in_flight.held)
        progress = self._board.unsent(MAX_PROGRESS)
        request = HeartbeatRequest(
            worker_id=self._state.identity.worker_id,
            # A job whose claim has no answer yet may be ours already.
            job_ids=[*held, *self._in_flight.claiming],
            report=self._report(),
            progress=job_progress(progress),
        )
        answer = await self._api.heartbeat(request, self._call_seconds)
        self._board.note_sent(progress)
        self._stop(answer.stop_job_ids, held)
        self._desired.receive(answer.fleet)

    def _stop(self, job_ids: Iterable[str], held: Mapping[str, Claimed]) -> None:
        """`held`: the jobs that the request named. The answer says nothing about claims that came later."""
        for job_id in job_ids:
            claimed = held.get(job_id)
            if claimed is not None and self._in_flight.held.get(job_id) is claimed:
                self._jobs.give_up(claimed)

    def _report(self) -> WorkerReport:
        totals = self._state.totals
        return WorkerReport(
            state=self._worker_state(),
            assignments=assigned_partitions(self._consumer.assignment()),
            # While the worker drains, its name goes to a successor once this is 0.
            in_flight=len(self._in_flight.held) + len(self._in_flight.claiming),
            completed_total=min(totals.completed, MAX_INT32),
            failed_total=min(totals.failed, MAX_INT32),
            fleet_revision=self._desired.followed_revision,
            busy_types=self._state.busy_types,
        )

    def _worker_state(self) -> "WorkerReport.State.ValueType":
        if self.draining:
            return WorkerReport.State.draining
        if any(self._desired.allows(job_type) for job_type in self._state.identity.types):
            return WorkerReport.State.consuming
        return WorkerReport.State.paused


def assigned_partitions(partitions: Collection[Partition]) -> list[AssignedPartitions]:
    """Partitions by topic, both in order."""
    by_topic: defaultdict[str, list[int]] = defaultdict(list)
    for topic, partition in sorted(partitions):
        by_topic[topic].append(partition)
    return [AssignedPartitions(topic=topic, partitions=numbers) for topic, numbers in by_topic.items()]
