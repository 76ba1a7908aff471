"""The claimer claims no jobs of stopped types, and knows when the desired state is followed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo

from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.job_service_pb2 import BatchUpdateStatusResponse, UpdateAccepted, UpdateOutcome
from jobs.v1.worker_pb2 import Fleet
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.api.call_slots import WORTH_A_CALL
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.kafka.offsets import Partition, Ticket

DEADLINE = 20.0


class Claims:
    """A claimer with one lane. Each call is answered when the test allows it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Semaphore(0)
        self.jobs, self.records = JobsTaken(), RecordsTaken()
        self.state = worker_state({"loop": 1 + WORTH_A_CALL})
        self.desired = self.state.desired
        self.calls = list[list[str]]()
        self.stopped: dict[str, str] = {}
        """Reasons for which the server refuses claims, by type."""

    async def update(self, request: Any, _context: Any) -> BatchUpdateStatusResponse:
        self.asked.set()
        self.calls.append([item.id for item in request.requests])
        await self.answer.acquire()
        outcomes = [UpdateOutcome(accepted=UpdateAccepted(attempt=1)) for _ in request.requests]
        for item, outcome in zip(request.requests, outcomes, strict=True):
            if (reason := self.stopped.get(item.claim.expected_type)) is not None:
                outcome.error.code = Code.FAILED_PRECONDITION
                outcome.error.details.add().Pack(ErrorInfo(reason=reason, domain="jobs.v1"))
        return BatchUpdateStatusResponse(outcomes=outcomes)

    def wire(self, updates: StatusUpdates) -> None:
        self.claimer = Claimer(self.state, updates, self.jobs, self.records, Backoff())

    def add(self, job_id: str, job_type: str) -> None:
        ticket = Ticket(Partition(f"jobs.{job_type}", 0), 1, len(job_id))
        self.state.lanes["loop"].add(WaitingRecord(DispatchRecord(id=job_id, type=job_type), ticket, 1))

    async def starts(self, *job_ids: str) -> None:
        async with asyncio.timeout(DEADLINE):
            while self.jobs.started_ids != list(job_ids):
                await asyncio.sleep(0.01)


@pytest.fixture
async def claims() -> AsyncIterator[Claims]:
    claims = Claims()
    async with api_of({"BatchUpdateStatus": claims.update}) as api:
        claims.wire(StatusUpdates(api))
        running = asyncio.create_task(claims.claimer.run())
        yield claims
        for _ in range(100):
            claims.answer.release()
        running.cancel()
        await asyncio.wait([running])


async def test_a_stopped_type_waits_and_is_claimed_once_it_is_started_again(claims: Claims) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1, stopped_types=["data"]))
    claims.answer.release()
    claims.add("first", "data")
    claims.add("second", "compute")
    await claims.starts("second")

    claims.answer.release()
    claims.desired.receive(Fleet(consuming=True, revision=2))
    await claims.starts("second", "first")


async def test_a_stop_of_a_type_is_followed_once_the_claims_of_that_type_have_ended(
    claims: Claims,
) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.add("data", "data")
    async with asyncio.timeout(DEADLINE):
        await claims.asked.wait()

    claims.desired.receive(Fleet(consuming=True, revision=2, stopped_types=["data"]))
    claims.add("compute", "compute")
    following = asyncio.create_task(claims.claimer.wait_until_desired(DEADLINE))
    assert not await claims.claimer.wait_until_desired(0.2)

    claims.answer.release()
    assert await following
    # The claim of the other type is still under way. Nobody waited for it.
    assert not await claims.claimer.wait_idle(0)
    assert claims.jobs.started_ids == ["data"]


async def test_a_stop_of_all_is_followed_once_all_claims_have_ended(claims: Claims) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.add("compute", "compute")
    await until(lambda: len(claims.calls) == 1)
    for number in range(WORTH_A_CALL):
        claims.add(f"compute-{number}", "compute")
    await until(lambda: len(claims.calls) == 2)

    claims.desired.receive(Fleet(consuming=True, revision=2, stopped_workers=["test"]))
    assert not await claims.claimer.wait_until_desired(0.2)
    claims.answer.release()
    await until(lambda: bool(claims.jobs.started))
    assert not await claims.claimer.wait_until_desired(0.2)

    claims.answer.release()
    assert await claims.claimer.wait_until_desired(DEADLINE)


@pytest.mark.parametrize(
    ("reason", "others"), [("TYPE_STOPPED", True), ("WORKER_STOPPED", False), ("FLEET_STOPPED", False)]
)
async def test_a_job_whose_stop_only_the_server_knows_waits_until_the_desired_state_is_received(
    claims: Claims, reason: str, others: bool
) -> None:
    claims.stopped = {"data": reason}
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.answer.release()
    claims.add("d", "data")
    async with asyncio.timeout(DEADLINE):
        while claims.desired.allows("data"):
            await asyncio.sleep(0.01)
    assert claims.desired.allows("compute") is others
    for _ in range(10):
        claims.answer.release()
    claims.add("cc", "compute")
    await claims.starts(*(["cc"] if others else []))
    assert claims.calls == [["d"], ["cc"]] if others else [["d"]]
    assert claims.records.finished == ([2] if others else [])

    # The stop is over. (If this answer were older than the stop, the claim would be refused once more.)
    claims.stopped = {}
    claims.desired.receive(Fleet(consuming=True, revision=1))
    await claims.starts(*(["cc", "d"] if others else ["d", "cc"]))
    assert sorted(claims.records.finished) == [1, 2]
