"""Claims and reports gather while a call is under way.

Once there are enough of them, they go in a second call.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_service_pb2 import BatchUpdateStatusResponse, UpdateAccepted, UpdateOutcome
from job_client._gen.jobs.v1.worker_pb2 import Fleet
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.api.call_slots import MAX_ITEMS, WORTH_A_CALL
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed
from worker_service.execution.outcome import Interrupted
from worker_service.kafka.offsets import Partition, Ticket
from worker_service.reporting.reporter import Reporter

DEADLINE = 20.0
BUSY = 14
"""Code.UNAVAILABLE: the update must be sent again."""
PLENTY = 10 * WORTH_A_CALL


class Calls:
    """A claimer and a reporter. Their calls are answered when the test allows it."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._under_way: list[list[str]] = []
        self.answers = asyncio.Semaphore(0)
        self.busy_for: set[str] = set()
        self.jobs = JobsTaken()
        self.state = worker_state({"loop": PLENTY})
        self.lane, self.in_flight = self.state.lanes["loop"], self.state.in_flight
        self._numbers = iter(range(10**6))

    async def update(self, request: Any, _context: Any) -> BatchUpdateStatusResponse:
        ids = [each.id for each in request.requests]
        # On a busy machine the client sends a call without an answer a second time. That is no new call.
        if ids not in self._under_way:
            self.sizes.append(len(ids))
        self._under_way.append(ids)
        try:
            await self.answers.acquire()
        finally:
            self._under_way.remove(ids)
        outcomes = [UpdateOutcome(accepted=UpdateAccepted(attempt=1)) for _ in request.requests]
        for item, outcome in zip(request.requests, outcomes, strict=True):
            if item.id in self.busy_for:
                outcome.error.code = BUSY
        return BatchUpdateStatusResponse(outcomes=outcomes)

    def wire(self, updates: StatusUpdates) -> None:
        self.state.desired.receive(Fleet(consuming=True, revision=1))
        self.reporter = Reporter(self.state, updates, Backoff())
        self.claimer = Claimer(self.state, updates, self.jobs, RecordsTaken(), Backoff())

    def claim(self, jobs: int) -> None:
        """Records of this many jobs come in at once."""
        for _ in range(jobs):
            number = next(self._numbers)
            record = DispatchRecord(id=f"job-{number}", type="compute")
            self.lane.add(WaitingRecord(record, Ticket(Partition("jobs.compute", 0), 1, number), 1))

    def report(self, jobs: int) -> None:
        """As many jobs have ended at once."""
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


WAYS = ["claim", "report"]


@pytest.mark.parametrize("way", WAYS)
async def test_gathered_items_go_in_a_second_call_once_there_are_enough(calls: Calls, way: str) -> None:
    come = getattr(calls, way)
    come(1)
    await calls.are(1)
    come(WORTH_A_CALL - 1)
    await calls.are(1)
    come(1)
    await calls.are(1, WORTH_A_CALL)
    # There are never more than two calls at a time.
    come(WORTH_A_CALL)
    await calls.are(1, WORTH_A_CALL)

    calls.answer(1)
    await calls.are(1, WORTH_A_CALL, WORTH_A_CALL)


@pytest.mark.parametrize("way", WAYS)
async def test_gathered_items_go_when_the_call_before_them_is_answered(calls: Calls, way: str) -> None:
    come = getattr(calls, way)
    come(1)
    await calls.are(1)
    come(2)
    come(3)
    await calls.are(1)

    calls.answer(1)
    await calls.are(1, 5)


@pytest.mark.parametrize("way", WAYS)
async def test_a_call_has_a_limited_number_of_items(calls: Calls, way: str) -> None:
    getattr(calls, way)(MAX_ITEMS + WORTH_A_CALL)

    await until(lambda: len(calls.sizes) > 1)
    assert sorted(calls.sizes) == [WORTH_A_CALL, MAX_ITEMS]


async def test_claims_without_an_answer_go_again_and_the_others_are_started(calls: Calls) -> None:
    calls.busy_for = {"job-1", "job-2"}
    calls.claim(4)
    await calls.are(4)
    calls.answer(1)
    await until(lambda: calls.jobs.started_ids == ["job-0", "job-3"])
    assert not await calls.claimer.wait_idle(0)

    calls.busy_for = {"job-2"}
    calls.answer(1)
    await until(lambda: len(calls.jobs.started_ids) == 3)
    calls.busy_for = set()
    calls.answer(1)

    assert await calls.claimer.wait_idle(DEADLINE)
    assert calls.jobs.started_ids == ["job-0", "job-3", "job-1", "job-2"]
    assert calls.sizes == [4, 2, 1]


async def test_no_new_job_is_claimed_while_the_latest_call_has_no_answer(calls: Calls) -> None:
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
    calls.report(WORTH_A_CALL)
    await calls.are(1, WORTH_A_CALL)
    calls.answer(1)
    await until(lambda: len(calls.in_flight.held) <= WORTH_A_CALL)

    assert not await calls.reporter.flush(0.05)
    calls.answer(1)
    assert await calls.reporter.flush(DEADLINE)
    assert calls.in_flight.held == {}
