"""Jobs that may crash their worker are claimed in groups or alone, and delay other jobs only for a while."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_service_pb2 import BatchUpdateStatusResponse, UpdateAccepted, UpdateOutcome
from job_client._gen.jobs.v1.worker_pb2 import Fleet
from tests.clocks import MonotonicClock
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import MAX_LARGE
from worker_service.claiming.suspects import Suspects, patience
from worker_service.kafka.offsets import Partition, Ticket

DEADLINE = 20.0
LIMITS = {"wide": 1000, "narrow": 1}
LOSSES = {"x": 2, "y": 3, "z": 4}
"""By the first letter of a job's name."""


class Claims:
    """A claimer with two lanes."""

    def __init__(self) -> None:
        self.time = 0.0
        self.calls = list[list[str]]()
        self.alone = list[str]()
        self.opened = list[str]()
        self.refused = set[str]()
        self.jobs, self.records = JobsTaken(), RecordsTaken()
        self.state = worker_state(LIMITS, lambda: self.time)
        self.lanes, self.in_flight = self.state.lanes, self.state.in_flight
        self._offset = 0

    async def update(self, request: Any, _context: Any) -> BatchUpdateStatusResponse:
        self.calls.append([item.id for item in request.requests])
        self.alone += [item.id for item in request.requests if item.claim.alone]
        self.opened += [item.id for item in request.requests if item.HasField("token")]
        outcomes = [UpdateOutcome(accepted=UpdateAccepted(attempt=3)) for _ in request.requests]
        for item, outcome in zip(request.requests, outcomes, strict=True):
            if item.id in self.refused:
                outcome.error.code = 9
        return BatchUpdateStatusResponse(outcomes=outcomes)

    def wire(self, updates: StatusUpdates) -> Claimer:
        self.state.desired.receive(Fleet(consuming=True, revision=1))
        self.claimer = Claimer(self.state, updates, self.jobs, self.records, Backoff())
        return self.claimer

    @property
    def started(self) -> list[str]:
        return self.jobs.started_ids

    def add(self, *names: str, lane: str = "wide") -> None:
        """Records come in, all at once."""
        for name in names:
            record = DispatchRecord(
                id=name,
                type="compute",
                attempt=2,
                losses=LOSSES.get(name[0], 1),
                payload_omitted=name.startswith("L"),
            )
            ticket = Ticket(Partition("jobs.compute", 0), 1, self._offset)
            self._offset += 1
            self.lanes[lane].add(WaitingRecord(record, ticket, 1))

    async def starts(self, *names: str) -> None:
        await until(lambda: self.started == list(names))

    async def settled(self) -> None:
        """Wait until the claimer has looked at everything."""
        for _ in range(5):
            self.state.claim_wake.set()
            await asyncio.sleep(0.01)

    async def pass_time(self, seconds: float) -> None:
        self.time += seconds
        await self.settled()

    def end(self, *names: str) -> None:
        for name in names:
            self.in_flight.remove(self.in_flight.held[name])


@pytest.fixture
async def claims() -> AsyncIterator[Claims]:
    claims = Claims()
    async with api_of({"BatchUpdateStatus": claims.update}) as api:
        claimer = claims.wire(StatusUpdates(api))
        running = asyncio.create_task(claimer.run())
        yield claims
        running.cancel()
        await asyncio.wait([running])


async def test_suspects_go_in_a_call_of_their_own(claims: Claims) -> None:
    claims.add("a", "x1", "b", "x2")

    await claims.starts("a", "b", "x1", "x2")
    assert claims.calls == [["a", "b"], ["x1", "x2"]]
    assert claims.alone == []


@pytest.mark.parametrize(("kind", "size"), [("x", 64), ("y", 8)])
async def test_a_limited_group_of_suspects_is_in_flight_and_other_jobs_go_on_beside_it(
    claims: Claims, kind: str, size: int
) -> None:
    names = [f"{kind}{number}" for number in range(size + 2)]
    claims.add(*names, "a")
    await claims.starts("a", *names[:size])
    claims.add("b")
    await claims.starts("a", *names[:size], "b")
    assert size not in claims.records.finished, "the offset of a suspect that waits must not be committed"

    claims.end(names[0])
    await claims.starts("a", *names[:size], "b", names[size])
    claims.end(names[1])
    await claims.starts("a", *names[:size], "b", *names[size:])
    assert sorted(claims.records.finished) == list(range(size + 4))


async def test_a_suspect_with_more_losses_limits_the_whole_group_to_its_own_size(claims: Claims) -> None:
    first = [f"x{number}" for number in range(9)]
    claims.add(*first, "y", "x9")
    await claims.starts(*first)

    claims.end("x0")
    await claims.settled()
    assert claims.started == first
    claims.end("x1")
    await claims.starts(*first, "y")
    claims.end("x2")
    await claims.starts(*first, "y", "x9")


async def test_a_lone_suspect_waits_until_no_job_is_in_flight_and_no_job_is_claimed_beside_it(
    claims: Claims,
) -> None:
    claims.add("a", lane="narrow")
    await claims.starts("a")
    claims.add("z", "b", "x")
    await claims.settled()
    assert claims.started == ["a"]

    claims.end("a")
    await claims.starts("a", "z")
    assert claims.alone == ["z"]
    await claims.settled()
    assert claims.started == ["a", "z"]

    claims.end("z")
    await claims.starts("a", "z", "b", "x")
    assert claims.alone == ["z"]


async def test_other_jobs_are_claimed_beside_a_long_lone_suspect_once_the_server_knows(
    claims: Claims,
) -> None:
    claims.add("z1", "z2", "b", "x")
    await claims.starts("z1")
    await claims.pass_time(patience(4) - 0.1)
    assert (claims.opened, claims.started) == ([], ["z1"])

    await claims.pass_time(0.1)
    await claims.starts("z1", "b")
    assert claims.opened == ["z1"]
    assert claims.calls.index(["z1"], 1) < claims.calls.index(["b"])
    claims.end("z1", "b")
    await claims.pass_time(patience(4))
    await claims.starts("z1", "b", "z2")


async def test_while_a_lone_suspect_runs_the_claimer_has_one_alarm_at_a_time(claims: Claims) -> None:
    claims.add("z")
    await claims.starts("z")
    await claims.settled()
    first = claims.claimer._alarm
    assert first is not None

    await claims.settled()
    assert first.cancelled()
    second = claims.claimer._alarm
    assert second is not None
    assert not second.cancelled()


async def test_a_worker_that_does_not_get_empty_runs_a_lone_suspect_beside_the_remaining_jobs(
    claims: Claims,
) -> None:
    claims.add("a")
    await claims.starts("a")
    claims.add("z1", "z2", "b")
    await claims.settled()
    await claims.pass_time(patience(4) - 0.1)
    assert claims.started == ["a"]

    await claims.pass_time(0.1)
    await claims.starts("a", "b", "z1")
    assert claims.alone == []
    claims.end("a", "b")
    await claims.pass_time(10 * patience(4))
    assert claims.started == ["a", "b", "z1"], "two lone suspects are never in flight together"


async def test_claims_are_open_for_as_long_as_they_were_closed_if_other_jobs_wait(claims: Claims) -> None:
    claims.add("z1", "z2", "a", "b")
    await claims.starts("z1")
    await claims.pass_time(3)
    claims.end("z1")
    await claims.starts("z1", "a", "b")
    claims.end("a", "b")
    claims.add("c")
    await claims.starts("z1", "a", "b", "c")
    claims.end("c")
    await claims.starts("z1", "a", "b", "c", "z2")
    claims.add("d")
    await claims.settled()
    claims.end("z2")
    await claims.starts("z1", "a", "b", "c", "z2", "d")


async def test_a_refused_lone_suspect_makes_way_for_the_next(claims: Claims) -> None:
    claims.refused.add("z1")
    claims.add("z1", "z2")

    await claims.starts("z2")
    assert claims.alone == ["z1", "z2"]


async def test_a_group_of_another_lane_waits_too_until_the_lone_suspect_has_run(claims: Claims) -> None:
    claims.add("a")
    await claims.starts("a")
    claims.add("z")
    await claims.settled()
    claims.add("x", lane="narrow")
    await claims.settled()
    assert claims.started == ["a"]

    claims.end("a")
    await claims.starts("a", "z")
    await claims.settled()
    assert claims.started == ["a", "z"]
    claims.end("z")
    await claims.starts("a", "z", "x")


async def test_in_a_lane_with_one_slot_suspects_and_other_jobs_run_in_the_order_of_arrival(
    claims: Claims,
) -> None:
    names = ["x1", "a", "x2", "x3", "b", "c", "x4"]
    claims.add(*names, lane="narrow")

    for number, name in enumerate(names, 1):
        await claims.starts(*names[:number])
        claims.end(name)


async def test_lone_suspects_of_all_lanes_get_their_turn(claims: Claims) -> None:
    claims.add("z1", "z2", "z3")
    claims.add("z4", "z5", lane="narrow")
    order = ["z1", "z4", "z2", "z5", "z3"]

    for number, name in enumerate(order, 1):
        await claims.starts(*order[:number])
        claims.end(name)


async def test_a_duplicate_record_of_a_suspect_is_finished_when_its_turn_comes(claims: Claims) -> None:
    claims.add("z1", "z1")
    await claims.starts("z1")
    claims.refused.add("z1")

    claims.end("z1")

    await until(lambda: sorted(claims.records.finished) == [0, 1])
    claims.add("a", "x")
    await claims.starts("z1", "a", "x")


async def test_a_waiting_suspect_is_dropped_with_its_partition(claims: Claims) -> None:
    claims.add("a", lane="narrow")
    await claims.starts("a")
    claims.add("z1")
    claims.add("b", lane="narrow")

    claims.lanes["wide"].drop({Partition("jobs.compute", 0)})
    claims.end("a")

    await claims.starts("a", "b")
    assert sorted(claims.records.finished) == [0, 2]


async def test_jobs_with_large_payloads_wait_while_many_are_in_flight_and_other_jobs_pass_them(
    claims: Claims,
) -> None:
    large = [f"L{number}" for number in range(MAX_LARGE + 2)]
    claims.add(*large, "a", "b")
    await claims.starts(*large[:MAX_LARGE], "a", "b")

    claims.end("L0", "a")
    await claims.starts(*large[:MAX_LARGE], "a", "b", large[-2])
    claims.end("L1")
    await claims.starts(*large[:MAX_LARGE], "a", "b", *large[-2:])


Z1, Z2 = (DispatchRecord(id=name, type="compute", losses=4) for name in ("z1", "z2"))


def test_the_claimer_looks_again_when_time_alone_has_changed_something() -> None:
    clock = MonotonicClock()
    suspects = Suspects(clock)
    assert suspects.seconds_to_next_change() is None

    suspects.choose_next(Z1, others_wait=True)
    clock.now += 1
    assert suspects.seconds_to_next_change() == patience(4) - 1
    clock.now += 1
    assert suspects.begin(Z1, idle=True)
    assert suspects.seconds_to_next_change() == patience(4)

    clock.now += 1
    suspects.remove("z1")
    # Claims were closed for three seconds.
    assert suspects.seconds_to_next_change() == 3
    clock.now += 3
    assert suspects.seconds_to_next_change() is None


def test_claims_stay_open_from_the_end_of_solitude_on_for_as_long_as_they_were_closed() -> None:
    clock = MonotonicClock()
    suspects = Suspects(clock)
    suspects.choose_next(Z1, others_wait=True)
    assert suspects.begin(Z1, idle=True)
    clock.now += patience(4)
    assert suspects.past_patience() == "z1"
    suspects.end_solitude("z1")
    assert (suspects.past_patience(), suspects.closed) == (None, False)

    clock.now += 1
    suspects.remove("z1")
    suspects.choose_next(Z2, others_wait=True)
    assert not suspects.closed
    assert suspects.seconds_to_next_change() == patience(4) - 1
    clock.now += patience(4) - 1
    suspects.choose_next(Z2, others_wait=True)
    assert suspects.closed
