"""Claims the jobs of waiting records, many in one call, within the free capacity.

Suspects, which are jobs that may crash their worker, go in calls of their own; see suspects.py.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from contract_runtime.status_details import reason_of
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import Claim, Token, UpdateOutcome, UpdateStatusRequest
from service_runtime.waiting import ends_within
from worker_service.api.backoff import Backoff
from worker_service.api.call_slots import CallSlots
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.gathering import Gatherer
from worker_service.claiming.in_flight import Claimed, Claiming
from worker_service.claiming.ports import ClaimedJobs
from worker_service.claiming.worker_state import WorkerState
from worker_service.kafka.ports import FinishedRecords
from worker_service.kafka.records import digest_of, without_content

log = structlog.get_logger()

PROCESSING = Job.Status.processing
"""A constant because the lookup takes as long as the rest of a request."""
TYPE_STOPPED = "TYPE_STOPPED"
STOPS = {"FLEET_STOPPED", "WORKER_STOPPED", TYPE_STOPPED}
"""Reasons of a refusal: an operator has stopped the fleet, this worker or the job's type."""
RECORD_MISMATCH = "RECORD_MISMATCH"
"""Reason of a refusal: the record's content is not that of the job."""
END_SOLITUDE_AGAIN_SECONDS = 1.0


class Claimer:
    """Takes waiting records from the lanes, claims their jobs, and hands the claimed jobs over to `jobs`."""

    def __init__(
        self,
        state: WorkerState,
        updates: StatusUpdates,
        jobs: ClaimedJobs,
        records: FinishedRecords,
        backoff: Backoff,
    ) -> None:
        """`records` takes each record whose claim is durable or was refused."""
        self._state = state
        self._in_flight = state.in_flight
        self._suspects = state.in_flight.suspects
        self._wake = state.claim_wake
        self._updates = updates
        self._jobs = jobs
        self._records = records
        self._backoff = backoff
        self._gatherer = Gatherer(state, jobs, records)
        self._closed = False
        self._ready: deque[list[Claiming]] = deque()
        """The content of the next calls, one list for each call."""
        self._calls = CallSlots()
        self._idle = asyncio.Event()
        self._idle.set()
        self._answered = asyncio.Event()
        """Set for a moment whenever a call has ended."""
        self._alarm: asyncio.TimerHandle | None = None
        """Wakes the claimer when a suspect's time has come."""
        self._ending_solitude = False
        self.in_trouble = False
        """Whether the latest call got no answer for any job. It is being sent again."""

    async def run(self) -> None:
        """Claim until cancelled."""
        async with asyncio.TaskGroup() as calls:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not self._ending_solitude and (lone := self._past_patience()) is not None:
                    self._ending_solitude = True
                    calls.create_task(self._end_solitude(lone))
                while batch := self._next_batch():
                    self._calls.under_way += 1
                    calls.create_task(self._claim(batch))
                if not self._in_flight.claiming:
                    self._idle.set()
                self._set_alarm()

    async def wait_idle(self, seconds: float) -> bool:
        """Wait, for `seconds` at most, until no claim is under way; whether that happened."""
        return await ends_within(seconds, self._idle.wait())

    async def wait_until_desired(self, seconds: float) -> bool:
        """Wait, for `seconds` at most, until the desired state forbids no claim under way; whether that
        happened.
        """
        return await ends_within(seconds, self._until_desired())

    def close(self) -> None:
        """Begin no new claims. Claims under way go on until they are answered."""
        self._closed = True

    async def _until_desired(self) -> None:
        allows = self._state.desired.allows
        while not all(allows(claiming.record.type) for claiming in self._in_flight.claiming.values()):
            await self._answered.wait()

    def _next_batch(self) -> list[Claiming] | None:
        """What to claim now in one call. None: nothing, or too little for a second call."""
        if not self._ready and self._may_gather():
            self._ready.extend(self._gatherer.gather())
            if self._ready:
                self._idle.clear()
        if self._ready and self._calls.allows(len(self._ready[0])):
            return self._ready.popleft()
        return None

    def _may_gather(self) -> bool:
        if self._closed or self.in_trouble or not self._state.desired.consuming:
            return False
        return self._calls.allows(self._gatherer.claimable)

    async def _claim(self, batch: Sequence[Claiming]) -> None:
        """Claim these jobs in one call.

        Jobs without an answer go into another call; if all are, after a pause.
        """
        outcomes = await self._updates.send([self._request(claiming) for claiming in batch])
        unanswered = []
        for claiming, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                unanswered.append(claiming)
            else:
                self._settle(claiming, outcome)
        self._answered.set()
        self._answered.clear()
        self._calls.under_way -= 1
        self._wake.set()
        none_answered = len(unanswered) == len(batch)
        self._set_trouble(none_answered)
        if none_answered:
            await asyncio.sleep(self._backoff.next())
        else:
            self._backoff.reset()
        if unanswered:
            self._ready.append(unanswered)
            self._wake.set()

    def _request(self, claiming: Claiming) -> UpdateStatusRequest:
        record = claiming.record
        claim = Claim(
            worker_id=self._state.identity.worker_id,
            expected_attempt=record.attempt,
            expected_type=record.type,
            alone=claiming.alone,
            content_digest=digest_of(record),
        )
        return UpdateStatusRequest(id=record.id, status=PROCESSING, claim=claim)

    def _settle(self, claiming: Claiming, outcome: UpdateOutcome) -> None:
        if outcome.HasField("accepted"):
            self._start(claiming, outcome.accepted.attempt)
        elif (reason := reason_of(outcome.error)) in STOPS:
            self._put_back(claiming, reason)
        elif reason == RECORD_MISMATCH and not claiming.record.payload_omitted:
            self._distrust(claiming, outcome.error)
        else:
            self._drop(claiming, outcome.error, reason)

    def _start(self, claiming: Claiming, attempt: int) -> None:
        record = claiming.record
        claimed = Claimed(record, claiming.lane, attempt)
        self._in_flight.move_to_held(claimed)
        for ticket in claiming.tickets:
            self._records.finish(ticket)
        if self._in_flight.has_successor(record.id):
            log.warning("claim_lost", job_id=record.id, type=record.type, attempt=claimed.attempt)
            self._in_flight.remove(claimed)
        else:
            self._jobs.start(claimed)

    def _put_back(self, claiming: Claiming, reason: str) -> None:
        """The API server knows of a stop before this worker does, so the job goes on waiting, in its lane."""
        log.info("claim_stopped", job_id=claiming.record.id, type=claiming.record.type, reason=reason)
        self._state.desired.assume_stopped(claiming.record.type if reason == TYPE_STOPPED else None)
        self._wait_again(claiming, claiming.record)

    def _distrust(self, claiming: Claiming, error: Status) -> None:
        """Somebody else wrote the record, or an earlier release stored the job.

        The job exists and waits, so it is claimed as a job without its payload in the record: everything that
        its handler receives is then read from the API server.
        """
        self._state.totals.bad_records += 1
        record = claiming.record
        partition, offset = claiming.tickets[0].partition, claiming.tickets[0].offset
        log.warning(
            "record_not_used",
            job_id=record.id,
            type=record.type,
            attempt=record.attempt,
            topic=partition.topic,
            partition=partition.partition,
            offset=offset,
            message=error.message,
            remedy="the job runs as it is stored; allow only API servers to write to the topics of jobs",
        )
        self._wait_again(claiming, without_content(record))

    def _wait_again(self, claiming: Claiming, record: DispatchRecord) -> None:
        self._in_flight.remove(claiming)
        for ticket in claiming.tickets:
            claiming.lane.add(WaitingRecord(record, ticket, claiming.size))

    def _drop(self, claiming: Claiming, error: Status, reason: str) -> None:
        record = claiming.record
        claiming.lane.note_refusal()
        self._in_flight.remove(claiming)
        self._gatherer.refuse(claiming.tickets)
        # A stale or duplicate record is normal. Any other refusal points at a fault.
        write = log.debug if error.code == Code.FAILED_PRECONDITION else log.warning
        write(
            "claim_refused",
            job_id=record.id,
            type=record.type,
            attempt=record.attempt,
            reason=reason,
            message=error.message,
        )

    def _set_trouble(self, in_trouble: bool) -> None:
        if in_trouble != self.in_trouble:
            self.in_trouble = in_trouble
            self._state.pause_wake.set()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if (seconds := self._suspects.seconds_to_next_change()) is not None:
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._wake.set)

    def _past_patience(self) -> Claimed | None:
        """The job that has run alone for its patience, if there is one and its claim has been answered."""
        job_id = self._suspects.past_patience()
        return None if job_id is None else self._in_flight.held.get(job_id)

    async def _end_solitude(self, claimed: Claimed) -> None:
        """Report that a job has been alone for long enough. Then other jobs may be claimed beside it."""
        while self._in_flight.held.get(claimed.id) is claimed:
            token = Token(worker_id=self._state.identity.worker_id, attempt=claimed.attempt)
            request = UpdateStatusRequest(id=claimed.id, status=PROCESSING, token=token)
            [outcome] = await self._updates.send([request])
            if outcome is not None:
                # After a refusal the job is no longer this worker's. A heartbeat will say so.
                self._suspects.end_solitude(claimed.id)
                break
            await asyncio.sleep(END_SOLITUDE_AGAIN_SECONDS)
        self._ending_solitude = False
        self._wake.set()
