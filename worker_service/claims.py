"""Claims jobs for records that wait: one call at a time, as many jobs in it as there is room for.

A suspect, a job that may be what takes workers down, goes in a call of its own, and only when no other one is in hand:
should it do so again, no job beside it looks as guilty as it does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from google.rpc.code_pb2 import Code

from jobs.v1.job_pb2 import Job
from jobs.v1.job_service_pb2 import Claim, UpdateOutcome, UpdateStatusRequest
from worker_service.backoff import Backoff
from worker_service.fleet import FleetWish
from worker_service.hand import Claimed, Claiming, Hand
from worker_service.lanes import Lane, Waiting
from worker_service.offsets import Ticket
from worker_service.totals import Totals
from worker_service.updates import StatusUpdates, reason_of

log = structlog.get_logger()

MOST_AT_ONCE = 500


class Claimer:
    """Takes waiting records from the lanes, claims their jobs, and starts those that it got."""

    def __init__(
        self,
        worker_id: str,
        updates: StatusUpdates,
        lanes: Sequence[Lane],
        hand: Hand,
        wish: FleetWish,
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
        self._hand = hand
        self._wish = wish
        self._totals = totals
        self._wake = wake
        self._backoff = backoff
        self._finish = finish
        self._start = start
        self._give_up = give_up
        self._on_trouble_change = on_trouble_change
        self._closed = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._answered = asyncio.Event()
        """Set for a moment whenever a call has ended."""
        self.in_trouble = False
        """Whether the latest call brought nothing; it is being sent again."""

    async def run(self) -> None:
        """Claim until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._gather():
                await self._claim()
            self._quiet.set()

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
                while not all(self._wish.allows(item.record.type) for item in self._hand.claiming.values()):
                    await self._answered.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Begin no new claims; those under way are brought to an end."""
        self._closed = True

    def _gather(self) -> bool:
        """Move records from the lanes to the table, as far as there is room; whether anything is to be claimed."""
        if self._wish.consuming and not self._closed and not self.in_trouble:
            for lane in tuple(self._lanes):
                while len(self._hand.claiming) < MOST_AT_ONCE and lane.room and (waiting := self._next(lane)):
                    self._note(waiting, lane)
        if self._hand.claiming:
            self._quiet.clear()
        return bool(self._hand.claiming)

    def _next(self, lane: Lane) -> Waiting | None:
        return lane.take(suspects=self._hand.suspect_id is None)

    def _note(self, waiting: Waiting, lane: Lane) -> None:
        job_id, attempt = waiting.record.id, waiting.record.attempt
        if (claiming := self._hand.claiming.get(job_id)) is not None:
            if attempt > claiming.record.attempt:
                self._hand.add_successor(waiting)
            else:
                # A double: it is done with when the claim that is under way is.
                claiming.tickets.append(waiting.ticket)
        elif (held := self._hand.held.get(job_id)) is not None:
            if attempt >= held.attempt:
                # Published after our claim, so that claim has ended: this process was stopped for too long, say.
                self._hand.add_successor(waiting)
                self._lose(held)
            else:
                self._refuse([waiting.ticket])
        else:
            lane.hold()
            self._hand.begin_claiming(Claiming(waiting.record, lane, [waiting.ticket]))
            if self._hand.suspect_id == job_id:
                # The next suspect is another lane's, if one waits there.
                self._lanes.remove(lane)
                self._lanes.append(lane)

    def _lose(self, held: Claimed) -> None:
        log.warning("claim_lost", job_id=held.id, type=held.type, attempt=held.attempt)
        self._give_up(held)

    async def _claim(self) -> None:
        answers = [await self._send(batch) for batch in self._batches()]
        self._set_trouble(not any(answers))
        if self.in_trouble:
            await asyncio.sleep(self._backoff.next())
        else:
            self._backoff.reset()

    def _batches(self) -> list[list[Claiming]]:
        jobs = list(self._hand.claiming.values())
        others = [claiming for claiming in jobs if claiming.record.id != self._hand.suspect_id]
        suspect = [claiming for claiming in jobs if claiming.record.id == self._hand.suspect_id]
        return [batch for batch in (others, suspect) if batch]

    async def _send(self, batch: Sequence[Claiming]) -> bool:
        """Claim these; whether there was an answer for any."""
        outcomes = await self._updates.send([self._request(claiming) for claiming in batch])
        for claiming, outcome in zip(batch, outcomes, strict=True):
            if outcome is not None:
                self._settle(claiming, outcome)
        self._answered.set()
        self._answered.clear()
        return any(outcome is not None for outcome in outcomes)

    def _request(self, claiming: Claiming) -> UpdateStatusRequest:
        record = claiming.record
        claim = Claim(worker_id=self._worker_id, expected_attempt=record.attempt, expected_type=record.type)
        return UpdateStatusRequest(id=record.id, status=Job.Status.processing, claim=claim)

    def _settle(self, claiming: Claiming, outcome: UpdateOutcome) -> None:
        record = claiming.record
        if outcome.WhichOneof("outcome") == "accepted":
            claimed = Claimed(record, claiming.lane, outcome.accepted.attempt)
            self._hand.move_to_held(claimed)
            for ticket in claiming.tickets:
                self._finish(ticket)
            if self._hand.has_successor(record.id):
                log.warning("claim_lost", job_id=record.id, type=record.type, attempt=claimed.attempt)
                self._hand.leave(claimed)
            else:
                self._start(claimed)
            return
        claiming.lane.note_refusal()
        self._hand.leave(claiming)
        self._refuse(claiming.tickets)
        # A stale or doubled record is ordinary; any other refusal points at a fault.
        tell = log.debug if outcome.error.code == Code.FAILED_PRECONDITION else log.warning
        tell(
            "claim_refused",
            job_id=record.id,
            type=record.type,
            attempt=record.attempt,
            reason=reason_of(outcome.error),
            message=outcome.error.message,
        )

    def _refuse(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._totals.refused += 1
            self._finish(ticket)

    def _set_trouble(self, in_trouble: bool) -> None:
        if in_trouble != self.in_trouble:
            self.in_trouble = in_trouble
            self._on_trouble_change()
