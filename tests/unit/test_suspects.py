"""A job that may be what takes workers down is claimed alone, one at a time, and holds up nobody else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.job_service_pb2 import BatchUpdateStatusResponse, UpdateAccepted, UpdateOutcome
from jobs.v1.worker_pb2 import Fleet
from tests.unit.job_service_fake import api_of
from worker_service.backoff import Backoff
from worker_service.claims import Claimer
from worker_service.fleet import FleetWish
from worker_service.hand import Claimed, Hand
from worker_service.lanes import Lane
from worker_service.offsets import Partition, Ticket
from worker_service.totals import Totals
from worker_service.updates import StatusUpdates
from worker_service.waiting import Waiting

DEADLINE = 20.0
LIMITS = {"wide": 100, "narrow": 1}


class Claims:
    """A claimer at work on two lanes. Jobs whose name begins with "x" are suspects."""

    def __init__(self) -> None:
        self.calls = list[list[str]]()
        self.started = list[str]()
        self.finished = list[int]()
        self.refused = set[str]()
        self.hand = Hand()
        self._wake = asyncio.Event()
        self.lanes = {
            name: Lane(limit, on_work=self._wake.set, on_full_change=lambda: None, clock=lambda: 0.0)
            for name, limit in LIMITS.items()
        }
        self._offset = 0

    async def update(self, request: Any, _context: Any) -> BatchUpdateStatusResponse:
        self.calls.append([step.id for step in request.requests])
        outcomes = [UpdateOutcome(accepted=UpdateAccepted(attempt=3)) for _ in request.requests]
        for step, outcome in zip(request.requests, outcomes, strict=True):
            if step.id in self.refused:
                outcome.error.code = 9
        return BatchUpdateStatusResponse(outcomes=outcomes)

    def wire(self, updates: StatusUpdates) -> Claimer:
        wish = FleetWish("test", self._wake.set)
        wish.hear(Fleet(consuming=True, revision=1))
        return Claimer(
            "test/1",
            updates,
            list(self.lanes.values()),
            self.hand,
            wish,
            Totals(),
            wake=self._wake,
            backoff=Backoff(),
            finish=lambda ticket: self.finished.append(ticket.offset),
            start=lambda claimed: self.started.append(claimed.id),
            give_up=lambda _: None,
            on_trouble_change=lambda: None,
        )

    def add(self, *names: str, lane: str = "wide") -> None:
        """Records come in, all at once."""
        for name in names:
            losses = 2 if name.startswith("x") else 1
            record = DispatchRecord(id=name, type="compute", attempt=2, losses=losses)
            ticket = Ticket(Partition("jobs.compute", 0), 1, self._offset)
            self._offset += 1
            self.lanes[lane].add(Waiting(record, ticket, 1))

    async def starts(self, *names: str) -> None:
        await self.until(lambda: self.started == list(names))

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not holds():
                await asyncio.sleep(0.01)

    def end(self, name: str) -> None:
        self.hand.leave(self.held(name))

    def held(self, name: str) -> Claimed:
        return self.hand.held[name]


@pytest.fixture
async def claims() -> AsyncIterator[Claims]:
    claims = Claims()
    async with api_of({"BatchUpdateStatus": claims.update}) as api:
        claimer = claims.wire(StatusUpdates(api))
        running = asyncio.create_task(claimer.run())
        yield claims
        running.cancel()
        await asyncio.wait([running])


async def test_a_suspect_goes_in_a_call_of_its_own(claims: Claims) -> None:
    claims.add("a", "x", "b")

    await claims.starts("a", "b", "x")
    assert claims.calls == [["a", "b"], ["x"]]


async def test_one_suspect_is_in_hand_at_a_time_and_others_go_on_beside_it(claims: Claims) -> None:
    claims.add("x1", "x2", "a")
    await claims.starts("a", "x1")
    claims.add("b", "c")
    await claims.starts("a", "x1", "b", "c")
    assert 1 not in claims.finished, "the offset of a suspect that waits must not be committed"

    claims.end("x1")
    await claims.starts("a", "x1", "b", "c", "x2")
    assert all(len(call) == 1 for call in claims.calls if "x1" in call or "x2" in call)
    assert sorted(claims.finished) == [0, 1, 2, 3, 4]


async def test_a_suspect_in_one_lane_keeps_those_of_all_lanes_waiting(claims: Claims) -> None:
    claims.add("x1")
    await claims.starts("x1")
    claims.add("x2", "a", lane="narrow")
    await claims.starts("x1", "a")
    claims.end("a")

    claims.end("x1")
    await claims.starts("x1", "a", "x2")


async def test_a_refused_suspect_makes_way_for_the_next(claims: Claims) -> None:
    claims.refused.add("x1")
    claims.add("x1", "x2")

    await claims.starts("x2")


async def test_in_a_lane_of_one_suspects_and_others_take_turns_as_they_came(claims: Claims) -> None:
    names = ["x1", "a", "x2", "x3", "b", "c", "x4"]
    claims.add(*names, lane="narrow")

    for number, name in enumerate(names, 1):
        await claims.starts(*names[:number])
        claims.end(name)


async def test_suspects_of_all_lanes_get_their_turn(claims: Claims) -> None:
    claims.add("x1", "x2", "x3")
    claims.add("x4", "x5", lane="narrow")
    order = ["x1", "x4", "x2", "x5", "x3"]

    for number, name in enumerate(order, 1):
        await claims.starts(*order[:number])
        claims.end(name)


async def test_a_doubled_record_of_a_suspect_is_done_with_when_its_turn_comes(claims: Claims) -> None:
    claims.add("x1", "x1")
    await claims.starts("x1")
    claims.refused.add("x1")

    claims.end("x1")

    await claims.until(lambda: sorted(claims.finished) == [0, 1])
    assert claims.started == ["x1"]
    assert claims.hand.suspect_id is None


async def test_a_suspect_that_waits_is_dropped_with_its_partition(claims: Claims) -> None:
    claims.add("x1", "x2")
    await claims.starts("x1")

    claims.lanes["wide"].drop({Partition("jobs.compute", 0)})
    claims.end("x1")
    claims.add("a")

    await claims.starts("x1", "a")
    assert claims.finished == [0, 2]
