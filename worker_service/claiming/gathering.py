"""Chooses the waiting records whose jobs are claimed next."""

from collections import deque
from collections.abc import Sequence

import structlog

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.api.call_slots import MAX_ITEMS
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.in_flight import MAX_LARGE, Claimed, Claiming
from worker_service.claiming.lanes import Lane
from worker_service.claiming.ports import ClaimedJobs
from worker_service.claiming.suspects import is_lone
from worker_service.claiming.worker_state import WorkerState
from worker_service.kafka.offsets import Ticket
from worker_service.kafka.ports import FinishedRecords
from worker_service.kafka.records import is_suspect

log = structlog.get_logger()


class Gatherer:
    """Moves records from the lanes to the table of jobs in flight, within the capacity of each lane."""

    def __init__(self, state: WorkerState, jobs: ClaimedJobs, records: FinishedRecords) -> None:
        """`jobs` gives up a job whose claim turns out to be lost."""
        self._state = state
        self._in_flight = state.in_flight
        self._suspects = state.in_flight.suspects
        self._lanes = deque(state.lanes.values())
        """The next suspect comes from the first lane that has one."""
        self._jobs = jobs
        self._records = records

    @property
    def claimable(self) -> int:
        """How many jobs could be claimed now."""
        return sum(lane.claimable for lane in self._lanes)

    def gather(self) -> list[list[Claiming]]:
        """The jobs to claim now, each list in one call: suspects apart from all others."""
        gathered: list[Claiming] = []
        self._suspects.choose_next(
            self._next_lone(), others_wait=any(lane.others_wait for lane in self._lanes)
        )
        for lane in tuple(self._lanes):
            capacity = min(lane.capacity, MAX_ITEMS - len(gathered))
            while capacity > 0 and (waiting := self._next(lane)):
                if (claiming := self._begin(waiting, lane)) is not None:
                    gathered.append(claiming)
                    capacity -= 1
        suspects = [claiming for claiming in gathered if is_suspect(claiming.record)]
        if not suspects:
            return [gathered] if gathered else []
        others = [claiming for claiming in gathered if not is_suspect(claiming.record)]
        return [batch for batch in (others, suspects) if batch]

    def refuse(self, tickets: Sequence[Ticket]) -> None:
        """These records will never be claimed."""
        for ticket in tickets:
            self._state.totals.refused += 1
            self._records.finish(ticket)

    def _next(self, lane: Lane) -> WaitingRecord | None:
        return lane.take(
            others=not self._suspects.closed, large=self._in_flight.large < MAX_LARGE, suspects=self._admits
        )

    def _admits(self, record: DispatchRecord) -> bool:
        return self._suspects.admits(record, idle=self._is_idle)

    @property
    def _is_idle(self) -> bool:
        return all(lane.is_idle for lane in self._lanes)

    def _next_lone(self) -> DispatchRecord | None:
        """The next job that must run alone, from the lane whose turn it is."""
        firsts = (lane.first_suspect for lane in self._lanes)
        return next((first for first in firsts if first is not None and is_lone(first)), None)

    def _begin(self, waiting: WaitingRecord, lane: Lane) -> Claiming | None:
        """The claim to send for a record.

        None: its job is in flight already, so there is nothing to send now.
        """
        job_id, attempt = waiting.record.id, waiting.record.attempt
        if (claiming := self._in_flight.claiming.get(job_id)) is not None:
            if attempt > claiming.record.attempt:
                self._in_flight.add_successor(waiting)
            else:
                # A duplicate. It is finished together with the claim that is under way.
                claiming.tickets.append(waiting.ticket)
            return None
        if (held := self._in_flight.held.get(job_id)) is not None:
            if attempt >= held.attempt:
                # The record was published after our claim, so our claim has ended. This process was stopped
                # for too long, for example.
                self._in_flight.add_successor(waiting)
                self._lose(held)
            else:
                self.refuse([waiting.ticket])
            return None
        begun = Claiming(waiting.record, lane, [waiting.ticket], waiting.size)
        if is_suspect(waiting.record):
            begun.alone = self._suspects.begin(waiting.record, idle=self._is_idle)
            # The next suspect comes from another lane, if one waits there.
            self._lanes.remove(lane)
            self._lanes.append(lane)
        lane.hold()
        self._in_flight.begin_claiming(begun)
        return begun

    def _lose(self, held: Claimed) -> None:
        log.warning("claim_lost", job_id=held.id, type=held.type, attempt=held.attempt)
        self._jobs.give_up(held)
