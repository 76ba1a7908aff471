"""Claims and reports gather while a call is under way, and go beside it once they are worth a call of their own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.job_service_pb2 import BatchUpdateStatusResponse, UpdateAccepted, UpdateOutcome
from jobs.v1.worker_pb2 import Fleet
from tests.unit.worker_service.job_service_fake import api_of
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming import claimer as claims
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed, InFlightJobs
from worker_service.claiming.lanes import Lane
from worker_service.execution.outcome import Interrupted
from worker_service.kafka.offsets import Partition, Ticket
from worker_service.reporting import reporter
from worker_service.reporting.reporter import Reporter
from worker_service.state.desired_fleet import DesiredFleet
from worker_service.state.totals import Totals

DEADLINE = 20.0
BUSY = 14
"""Code.UNAVAILABLE: the step is to be sent again."""
PLENTY = 10 * claims.WORTH_A_CALL


class Calls:
    """A claimer and a reporter whose calls are answered when the test says so."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.answers = asyncio.Semaphore(0)
        self.busy_for: set[str] = set()
        self.started: list[str] = []
        self.in_flight = InFlightJobs()
        self._numbers = iter(range(10**6))

    async def update(self, request: Any, _context: Any) -> BatchUpdateStatusResponse:
        self.sizes.append(len(request.requests))
        await self.answers.acquire()
        outcomes = [UpdateOutcome(accepted=UpdateAccepted(attempt=1)) for _ in request.requests]
        for step, outcome in zip(request.requests, outcomes, strict=True):
            if step.id in self.busy_for:
                outcome.error.code = BUSY
        return BatchUpdateStatusResponse(outcomes=outcomes)

    def wire(self, updates: StatusUpdates) -> None:
        wake = asyncio.Event()
        desired = DesiredFleet("test", wake.set)
        desired.hear(Fleet(consuming=True, revision=1))
        self.lane = Lane(PLENTY, on_work=wake.set, on_full_change=lambda: None)
        self.reporter = Reporter("test/1", updates, self.in_flight, Totals(), Backoff())
        self.claimer = Claimer(
            "test/1",
            updates,
            [self.lane],
            self.in_flight,
            desired,
            Totals(),
            wake=wake,
            backoff=Backoff(),
            finish=lambda _: None,
            start=lambda claimed: self.started.append(claimed.id),
            give_up=lambda _: None,
            on_trouble_change=lambda: None,
        )

    def claim(self, jobs: int) -> None:
        """Records of so many jobs come in at once."""
        for _ in range(jobs):
            number = next(self._numbers)
            record = DispatchRecord(id=f"job-{number}", type="compute")
            self.lane.add(WaitingRecord(record, Ticket(Partition("jobs.compute", 0), 1, number), 1))

    def report(self, jobs: int) -> None:
        """So many jobs have ended at once."""
        for _ in range(jobs):
            record = DispatchRecord(id=f"job-{next(self._numbers)}", type="compute")
            claimed = self.in_flight.held[record.id] = Claimed(record, self.lane, 1)
            self.lane.hold()
            self.reporter.put(claimed, Interrupted())

    def answer(self, calls: int) -> None:
        for _ in range(calls):
            self.answers.release()

    async def are(self, *sizes: int) -> None:
        """Wait until these calls have been made; no other one may follow."""
        await until(lambda: len(self.sizes) >= len(sizes))
        await asyncio.sleep(0.05)
        assert self.sizes == list(sizes)


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    calls = Calls()
    async with api_of({"BatchUpdateStatus": calls.update}) as api:
        calls.wire(StatusUpdates(api))
        running = [asyncio.create_task(part.run()) for part in (calls.claimer, calls.reporter)]
        yield calls
        calls.answer(100)
        for task in running:
            task.cancel()
        await asyncio.wait(running)


WAYS = {"claim": claims.WORTH_A_CALL, "report": reporter.WORTH_A_CALL}


@pytest.mark.parametrize(("way", "worth"), WAYS.items())
async def test_what_gathers_goes_beside_a_call_once_it_is_worth_one(
    calls: Calls, way: str, worth: int
) -> None:
    come = getattr(calls, way)
    come(1)
    await calls.are(1)
    come(worth - 1)
    await calls.are(1)
    come(1)
    await calls.are(1, worth)
    # No more than two at a time, however much there is to say.
    come(worth)
    await calls.are(1, worth)

    calls.answer(1)
    await calls.are(1, worth, worth)


@pytest.mark.parametrize("way", WAYS)
async def test_what_has_gathered_goes_when_the_call_has_been_answered(calls: Calls, way: str) -> None:
    come = getattr(calls, way)
    come(1)
    await calls.are(1)
    come(2)
    come(3)
    await calls.are(1)

    calls.answer(1)
    await calls.are(1, 5)


@pytest.mark.parametrize(("way", "most"), [("claim", claims.MOST_AT_ONCE), ("report", reporter.MOST_AT_ONCE)])
async def test_a_call_has_so_many_at_most(calls: Calls, way: str, most: int) -> None:
    getattr(calls, way)(most + WAYS[way])

    await until(lambda: len(calls.sizes) > 1)
    assert sorted(calls.sizes) == [WAYS[way], most]


async def test_claims_without_an_answer_go_again_and_the_others_are_started(calls: Calls) -> None:
    calls.busy_for = {"job-1", "job-2"}
    calls.claim(4)
    await calls.are(4)
    calls.answer(1)
    await until(lambda: calls.started == ["job-0", "job-3"])
    assert not await calls.claimer.quiet(0)

    calls.busy_for = {"job-2"}
    calls.answer(1)
    await until(lambda: len(calls.started) == 3)
    calls.busy_for = set()
    calls.answer(1)

    assert await calls.claimer.quiet(DEADLINE)
    assert calls.started == ["job-0", "job-3", "job-1", "job-2"]
    assert calls.sizes == [4, 2, 1]


async def test_nothing_new_is_claimed_while_the_latest_call_brought_nothing(calls: Calls) -> None:
    calls.busy_for = {"job-0"}
    calls.claim(1)
    calls.answer(1)
    await until(lambda: calls.claimer.in_trouble)
    calls.claim(PLENTY - 1)
    # Sent again, and alone.
    await until(lambda: len(calls.sizes) > 1)
    assert calls.sizes == [1, 1]

    calls.busy_for = set()
    calls.answer(1)
    await until(lambda: not calls.claimer.in_trouble and len(calls.sizes) > 2)
    assert max(calls.sizes) > 1


async def test_reports_are_flushed_when_all_calls_have_been_answered(calls: Calls) -> None:
    calls.report(1)
    await calls.are(1)
    calls.report(reporter.WORTH_A_CALL)
    await calls.are(1, reporter.WORTH_A_CALL)
    calls.answer(1)
    await until(lambda: len(calls.in_flight.held) <= reporter.WORTH_A_CALL)

    assert not await calls.reporter.flush(0.05)
    calls.answer(1)
    assert await calls.reporter.flush(DEADLINE)
    assert calls.in_flight.held == {}
