"""What the claimer asks, and what it does with the answers.

It claims no job of a stopped type, and knows when the desired state is followed.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import ErrorInfo
from structlog.testing import capture_logs

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusResponse,
    Claim,
    UpdateAccepted,
    UpdateOutcome,
    UpdateStatusRequest,
)
from job_client._gen.jobs.v1.worker_pb2 import Fleet
from tests.clocks import MonotonicClock
from tests.unit.worker_service.job_service_fake import api_of
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.api.call_slots import WORTH_A_CALL
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.kafka.offsets import Partition, Ticket
from worker_service.kafka.records import digest_of

DEADLINE = 20.0


class Claims:
    """A claimer with one lane. Each call is answered when the test allows it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Semaphore(0)
        self.jobs, self.records = JobsTaken(), RecordsTaken()
        self.state = worker_state({"loop": 1 + WORTH_A_CALL}, MonotonicClock())
        self.desired = self.state.desired
        self.calls = list[list[str]]()
        self.requests = list[UpdateStatusRequest]()
        self.stopped: dict[str, str] = {}
        """Reasons for which the server refuses claims, by type."""
        self.mismatches: set[str] = set()
        """Jobs whose content is not that of their records."""
        self.refusals: dict[str, Code.ValueType] = {}
        """Codes with which the server refuses claims, by job."""

    async def update(self, request: Any, _context: Any) -> BatchUpdateStatusResponse:
        self.asked.set()
        self.calls.append([item.id for item in request.requests])
        self.requests += request.requests
        await self.answer.acquire()
        outcomes = [UpdateOutcome(accepted=UpdateAccepted(attempt=1)) for _ in request.requests]
        for item, outcome in zip(request.requests, outcomes, strict=True):
            if (reason := self.stopped.get(item.claim.expected_type)) is not None:
                outcome.error.code = Code.FAILED_PRECONDITION
                outcome.error.details.add().Pack(ErrorInfo(reason=reason, domain="jobs.v1"))
            if item.id in self.mismatches and item.claim.content_digest:
                outcome.error.code = Code.FAILED_PRECONDITION
                outcome.error.details.add().Pack(ErrorInfo(reason="RECORD_MISMATCH", domain="jobs.v1"))
            if (code := self.refusals.get(item.id)) is not None:
                outcome.error.code = code
                outcome.error.message = "no"
        return BatchUpdateStatusResponse(outcomes=outcomes)

    def wire(self, updates: StatusUpdates) -> None:
        self.claimer = Claimer(self.state, updates, self.jobs, self.records, Backoff())

    def add(self, job_id: str, job_type: str, attempt: int = 0, offset: int | None = None) -> None:
        """A record comes in. Its offset is the length of the job's id by default."""
        ticket = Ticket(Partition(f"jobs.{job_type}", 0), 1, len(job_id) if offset is None else offset)
        record = DispatchRecord(id=job_id, type=job_type, attempt=attempt)
        self.state.lanes["loop"].add(WaitingRecord(record, ticket, 1))

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


async def test_a_claim_names_the_worker_and_what_the_record_says_of_the_job(claims: Claims) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.answer.release()
    claims.add("job", "data", attempt=2)
    await claims.starts("job")

    digest = digest_of(claims.jobs.started[0].record)
    assert digest
    claim = Claim(worker_id="test/1", expected_attempt=2, expected_type="data", content_digest=digest)
    assert claims.requests == [UpdateStatusRequest(id="job", status=Job.Status.processing, claim=claim)]
    [claimed] = claims.jobs.started
    assert (claimed.record.attempt, claimed.attempt) == (2, 1)
    assert claims.state.in_flight.held == {"job": claimed}
    assert claims.state.in_flight.claiming == {}


async def test_a_record_that_is_not_the_jobs_is_logged_once_and_the_job_is_claimed_as_it_is_stored(
    claims: Claims,
) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.mismatches = {"job"}
    with capture_logs() as logs:
        claims.add("job", "data", attempt=2, offset=7)
        claims.answer.release()
        claims.answer.release()
        await claims.starts("job")

    first, second = (request.claim for request in claims.requests)
    assert first.content_digest
    assert not second.content_digest
    assert (first.expected_attempt, second.expected_attempt) == (2, 2)
    [claimed] = claims.jobs.started
    assert claimed.record.payload_omitted
    assert [(line["topic"], line["partition"], line["offset"]) for line in logs] == [("jobs.data", 0, 7)]
    assert claims.records.finished == [7]
    assert claims.state.totals.bad_records == 1
    assert claims.state.in_flight.large == 1


@pytest.mark.parametrize(
    ("code", "level"), [(Code.FAILED_PRECONDITION, "debug"), (Code.NOT_FOUND, "warning")]
)
async def test_a_refused_claim_finishes_all_records_of_its_job_and_lets_the_lane_claim_more(
    claims: Claims, code: "Code.ValueType", level: str
) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.refusals = {"job": code}
    lane = claims.state.lanes["loop"]
    claims.add("job", "data", offset=7)
    claims.add("job", "data", offset=8)
    with capture_logs() as logs:
        claims.answer.release()
        await until(lambda: len(claims.records.finished) == 2)

    assert (claims.records.finished, claims.state.totals.refused) == ([7, 8], 2)
    assert [(line["event"], line["log_level"], line["message"]) for line in logs] == [
        ("claim_refused", level, "no")
    ]
    assert (claims.jobs.started, claims.state.in_flight.claiming) == ([], {})
    assert lane.capacity == lane.limit + 1


async def test_a_job_that_was_published_again_while_it_was_claimed_is_not_started_but_claimed_again(
    claims: Claims,
) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.add("job", "data", attempt=0, offset=7)
    claims.add("job", "data", attempt=1, offset=8)
    with capture_logs() as logs:
        claims.answer.release()
        await until(lambda: len(claims.calls) == 2)
    assert [line["event"] for line in logs] == ["claim_lost"]
    assert (claims.jobs.started, claims.records.finished) == ([], [7])

    claims.answer.release()
    await claims.starts("job")
    assert [request.claim.expected_attempt for request in claims.requests] == [0, 1]
    assert claims.records.finished == [7, 8]


async def test_a_claimer_that_has_claimed_nothing_yet_is_idle(claims: Claims) -> None:
    assert await claims.claimer.wait_idle(0.01)


async def test_after_closing_claims_under_way_end_and_no_new_one_begins(claims: Claims) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    claims.add("first", "data")
    await until(lambda: bool(claims.calls))
    assert not await claims.claimer.wait_idle(0)

    claims.claimer.close()
    claims.add("second", "data")
    claims.answer.release()

    await claims.starts("first")
    assert await claims.claimer.wait_idle(DEADLINE)
    assert claims.calls == [["first"]]


async def test_partitions_are_paused_while_claims_have_no_answer_and_resumed_afterwards(
    claims: Claims,
) -> None:
    claims.desired.receive(Fleet(consuming=True, revision=1))
    pause_wake = claims.state.pause_wake
    pause_wake.clear()
    claims.refusals = {"job": Code.UNAVAILABLE}
    claims.add("job", "data")
    claims.answer.release()
    await until(pause_wake.is_set)
    assert claims.claimer.in_trouble

    pause_wake.clear()
    claims.refusals = {}
    claims.answer.release()
    await claims.starts("job")
    assert (claims.claimer.in_trouble, pause_wake.is_set()) == (False, True)
    pause_wake.clear()
    claims.answer.release()
    claims.add("next", "data")
    await claims.starts("job", "next")
    assert not pause_wake.is_set()
