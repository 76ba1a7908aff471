"""Claims jobs for records that wait, as many in one call as there is room for.

While a call is under way the next claims gather, so that under load a call has many; only when enough have gathered does
another call go beside it. Jobs that may be what takes workers down go when `suspects` says so, in calls of their own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from google.rpc.code_pb2 import Code

from contract_runtime.status_details import reason_of
from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.job_pb2 import Job
from jobs.v1.job_service_pb2 import Claim, Token, UpdateOutcome, UpdateStatusRequest
from worker_service.api.backoff import Backoff
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.in_flight import MOST_LARGE, Claimed, Claiming, InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.claiming.suspects import is_lone
from worker_service.kafka.offsets import Ticket
from worker_service.kafka.records import is_suspect
from worker_service.state.desired_fleet import DesiredFleet
from worker_service.state.totals import Totals

log = structlog.get_logger()

PROCESSING = Job.Status.processing
"""A name for it because looking it up takes as long as the rest of a request."""
TYPE_STOPPED = "TYPE_STOPPED"
STOPS = {"FLEET_STOPPED", "WORKER_STOPPED", TYPE_STOPPED}
"""How the API server refuses a claim of what has been stopped."""
MOST_AT_ONCE = 500
MOST_CALLS = 2
END_SOLITUDE_AGAIN_SECONDS = 1.0
WORTH_A_CALL = 100
"""Jobs for which a call goes beside one that is under way: what a call costs by itself is little, shared by so many."""


class Claimer:
    """Takes waiting records from the lanes, claims their jobs, and starts those that it got."""

    def __init__(
        self,
        worker_id: str,
        updates: StatusUpdates,
        lanes: Sequence[Lane],
        in_flight: InFlightJobs,
        desired: DesiredFleet,
        totals: Totals,
        *,
        wake: asyncio.Event,
        backoff: Backoff,
        finish: Callable[[Ticket], None],
        start: Callable[[Claimed], None],
        give_up: Callable[[Claimed], None],
        on_trouble_change: Callable[[], None],
    ) -> None:
        """`wake` is set when there may be something to claim. `finish` is told each record that was claimed durably
        or refused, `start` each job that was claimed, `give_up` each one whose claim turns out to be lost.
        `on_trouble_change` is called when `in_trouble` changes.
        """
        self._worker_id = worker_id
        self._updates = updates
        self._lanes = deque(lanes)
        self._in_flight = in_flight
        self._suspects = in_flight.suspects
        self._desired = desired
        self._totals = totals
        self._wake = wake
        self._backoff = backoff
        self._finish = finish
        self._start = start
        self._give_up = give_up
        self._on_trouble_change = on_trouble_change
        self._closed = False
        self._ready: deque[list[Claiming]] = deque()
        """What goes in the next calls, each list in one."""
        self._calls = 0
        """Under way."""
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._answered = asyncio.Event()
        """Set for a moment whenever a call has ended."""
        self._alarm: asyncio.TimerHandle | None = None
        """Wakes the claimer for the suspects' sake."""
        self._ending_solitude = False
        self.in_trouble = False
        """Whether the latest call brought nothing; it is being sent again."""

    async def run(self) -> None:
        """Claim until cancelled."""
        async with asyncio.TaskGroup() as calls:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if not self._ending_solitude and (outlasted := self._outlasted()) is not None:
                    self._ending_solitude = True
                    calls.create_task(self._end_solitude(outlasted))
                while batch := self._next_batch():
                    self._calls += 1
                    calls.create_task(self._claim(batch))
                if not self._in_flight.claiming:
                    self._quiet.set()
                self._set_alarm()

    async def quiet(self, seconds: float) -> bool:
        """Wait until no claim is under way, `seconds` at most; whether that came about."""
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def follows_wish(self, seconds: float) -> bool:
        """Wait until no claim is under way that the fleet's wish forbids, `seconds` at most; whether that came about."""
        try:
            async with asyncio.timeout(seconds):
                while not all(
                    self._desired.allows(item.record.type) for item in self._in_flight.claiming.values()
                ):
                    await self._answered.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Begin no new claims; those under way are brought to an end."""
        self._closed = True

    def _next_batch(self) -> list[Claiming] | None:
        """What to claim now in one call; None: nothing, or too little to go beside a call that is under way."""
        if self._calls == MOST_CALLS:
            return None
        if not self._ready and self._may_gather():
            self._gather()
        if not self._ready or (self._calls and len(self._ready[0]) < WORTH_A_CALL):
            return None
        return self._ready.popleft()

    def _may_gather(self) -> bool:
        if self._closed or self.in_trouble or not self._desired.consuming:
            return False
        return not self._calls or sum(lane.claimable for lane in self._lanes) >= WORTH_A_CALL

    def _gather(self) -> None:
        """Move records from the lanes to the table, as far as there is room."""
        gathered: list[Claiming] = []
        self._suspects.look(self._next_lone(), others_wait=any(lane.others_wait for lane in self._lanes))
        for lane in tuple(self._lanes):
            capacity = min(lane.capacity, MOST_AT_ONCE - len(gathered))
            while capacity > 0 and (waiting := self._next(lane)):
                if (claiming := self._note(waiting, lane)) is not None:
                    gathered.append(claiming)
                    capacity -= 1
        suspects = [claiming for claiming in gathered if is_suspect(claiming.record)]
        others = (
            [claiming for claiming in gathered if not is_suspect(claiming.record)] if suspects else gathered
        )
        self._ready.extend(batch for batch in (others, suspects) if batch)
        if gathered:
            self._quiet.clear()

    def _next(self, lane: Lane) -> WaitingRecord | None:
        return lane.take(
            others=not self._suspects.closed, large=self._in_flight.large < MOST_LARGE, suspects=self._admits
        )

    def _admits(self, record: DispatchRecord) -> bool:
        return self._suspects.admits(record, idle=self._is_idle)

    @property
    def _is_idle(self) -> bool:
        return all(lane.is_idle for lane in self._lanes)

    def _next_lone(self) -> DispatchRecord | None:
        """The next job that is to be run alone, of a lane whose turn it is."""
        firsts = (lane.first_suspect for lane in self._lanes)
        return next((first for first in firsts if first is not None and is_lone(first)), None)

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if (seconds := self._suspects.seconds_to_next_look()) is not None:
            self._alarm = asyncio.get_running_loop().call_later(seconds, self._wake.set)

    def _note(self, waiting: WaitingRecord, lane: Lane) -> Claiming | None:
        """Look whose record it is; what is to be claimed for it, if anything."""
        job_id, attempt = waiting.record.id, waiting.record.attempt
        if (claiming := self._in_flight.claiming.get(job_id)) is not None:
            if attempt > claiming.record.attempt:
                self._in_flight.add_successor(waiting)
            else:
                # A double: it is done with when the claim that is under way is.
                claiming.tickets.append(waiting.ticket)
        elif (held := self._in_flight.held.get(job_id)) is not None:
            if attempt >= held.attempt:
                # Published after our claim, so that claim has ended: this process was stopped for too long, say.
                self._in_flight.add_successor(waiting)
                self._lose(held)
            else:
                self._refuse([waiting.ticket])
        else:
            begun = Claiming(waiting.record, lane, [waiting.ticket], waiting.size)
            if is_suspect(waiting.record):
                begun.alone = self._suspects.begin(waiting.record, idle=self._is_idle)
                # The next suspect is another lane's, if one waits there.
                self._lanes.remove(lane)
                self._lanes.append(lane)
            lane.hold()
            self._in_flight.begin_claiming(begun)
            return begun
        return None

    def _lose(self, held: Claimed) -> None:
        log.warning("claim_lost", job_id=held.id, type=held.type, attempt=held.attempt)
        self._give_up(held)

    async def _claim(self, batch: Sequence[Claiming]) -> None:
        """Claim these in one call. Those without an answer go into another one, after a while if all are."""
        outcomes = await self._updates.send([self._request(claiming) for claiming in batch])
        unanswered = []
        for claiming, outcome in zip(batch, outcomes, strict=True):
            if outcome is None:
                unanswered.append(claiming)
            else:
                self._settle(claiming, outcome)
        self._answered.set()
        self._answered.clear()
        self._calls -= 1
        self._wake.set()
        is_lost = len(unanswered) == len(batch)
        self._set_trouble(is_lost)
        if is_lost:
            await asyncio.sleep(self._backoff.next())
        else:
            self._backoff.reset()
        if unanswered:
            self._ready.append(unanswered)
            self._wake.set()

    def _request(self, claiming: Claiming) -> UpdateStatusRequest:
        record = claiming.record
        claim = Claim(
            worker_id=self._worker_id,
            expected_attempt=record.attempt,
            expected_type=record.type,
            alone=claiming.alone,
        )
        return UpdateStatusRequest(id=record.id, status=PROCESSING, claim=claim)

    def _outlasted(self) -> Claimed | None:
        """The job that has been alone for long enough, if there is one and its claim has been answered."""
        job_id = self._suspects.outlasted()
        return None if job_id is None else self._in_flight.held.get(job_id)

    async def _end_solitude(self, claimed: Claimed) -> None:
        """Let other jobs be claimed beside one that has been alone for long enough: once the API server knows."""
        while self._in_flight.held.get(claimed.id) is claimed:
            token = Token(worker_id=self._worker_id, attempt=claimed.attempt)
            request = UpdateStatusRequest(id=claimed.id, status=PROCESSING, token=token)
            [outcome] = await self._updates.send([request])
            if outcome is not None:
                # If it was refused, the job is this worker's no more, and a heartbeat will tell.
                self._suspects.open(claimed.id)
                break
            await asyncio.sleep(END_SOLITUDE_AGAIN_SECONDS)
        self._ending_solitude = False
        self._wake.set()

    def _settle(self, claiming: Claiming, outcome: UpdateOutcome) -> None:
        record = claiming.record
        if outcome.HasField("accepted"):
            claimed = Claimed(record, claiming.lane, outcome.accepted.attempt)
            self._in_flight.move_to_held(claimed)
            for ticket in claiming.tickets:
                self._finish(ticket)
            if self._in_flight.has_successor(record.id):
                log.warning("claim_lost", job_id=record.id, type=record.type, attempt=claimed.attempt)
                self._in_flight.leave(claimed)
            else:
                self._start(claimed)
            return
        if (reason := reason_of(outcome.error)) in STOPS:
            self._put_back(claiming, reason)
            return
        claiming.lane.note_refusal()
        self._in_flight.leave(claiming)
        self._refuse(claiming.tickets)
        # A stale or doubled record is ordinary; any other refusal points at a fault.
        tell = log.debug if outcome.error.code == Code.FAILED_PRECONDITION else log.warning
        tell(
            "claim_refused",
            job_id=record.id,
            type=record.type,
            attempt=record.attempt,
            reason=reason,
            message=outcome.error.message,
        )

    def _put_back(self, claiming: Claiming, reason: str) -> None:
        """The API server knows of a stop before this worker does: the job waits on, here as well."""
        log.info("claim_stopped", job_id=claiming.record.id, type=claiming.record.type, reason=reason)
        self._desired.doubt(claiming.record.type if reason == TYPE_STOPPED else None)
        self._in_flight.leave(claiming)
        for ticket in claiming.tickets:
            claiming.lane.add(WaitingRecord(claiming.record, ticket, claiming.size))

    def _refuse(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._totals.refused += 1
            self._finish(ticket)

    def _set_trouble(self, in_trouble: bool) -> None:
        if in_trouble != self.in_trouble:
            self.in_trouble = in_trouble
            self._on_trouble_change()
