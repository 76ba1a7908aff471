"""A worker's calls to a real API server: with one bad request, with results that do not fit, without an
answer.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from google.rpc.code_pb2 import Code

from contract_runtime.structs import dict_to_struct
from contract_runtime.topics import topic_of
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import Claim, Token, UpdateStatusRequest
from job_client._gen.jobs.v1.worker_pb2 import Fleet
from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, get, jobs_client
from tests.unit.worker_service.worker_fakes import JobsTaken, RecordsTaken, worker_state
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.status_updates import StatusUpdates
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.claimer import Claimer
from worker_service.claiming.in_flight import Claimed, InFlightJobs
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Succeeded
from worker_service.kafka.offsets import OffsetTracker, Partition, Ticket
from worker_service.reporting.reporter import Reporter

WORKER_ID = "test/1"
PARTITION = Partition(topic_of(UNWORKED), 0)
DEAD = "127.0.0.1:1"


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with jobs_client(stack) as client:
        yield client


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient([stack.address("api_server")]) as api:
        yield api


def claim(job_id: str) -> UpdateStatusRequest:
    return UpdateStatusRequest(
        id=job_id, status=Job.Status.processing, claim=Claim(worker_id=WORKER_ID, expected_attempt=0)
    )


def new_job(client: httpx.Client) -> str:
    return str(create(client, UNWORKED, {"input": ""})["id"])


async def test_a_request_that_breaks_a_rule_is_refused_alone(api: ApiClient, client: httpx.Client) -> None:
    first, last = new_job(client), new_job(client)

    outcomes = await StatusUpdates(api).send([claim(first), claim("no uuid"), claim(last)])

    codes = [outcome and (outcome.accepted.attempt, outcome.error.code) for outcome in outcomes]
    assert codes == [(1, Code.OK), (0, Code.INVALID_ARGUMENT), (1, Code.OK)]


async def test_a_claim_sent_again_gets_the_same_answer(api: ApiClient, client: httpx.Client) -> None:
    job_id = new_job(client)

    outcomes = [(await StatusUpdates(api).send([claim(job_id)]))[0] for _ in range(2)]

    assert [outcome and outcome.accepted.attempt for outcome in outcomes] == [1, 1]


async def test_an_endpoint_that_is_down_is_skipped(stack: Stack, client: httpx.Client) -> None:
    async with ApiClient([DEAD, stack.address("api_server")]) as api:
        jobs = [await api.get(new_job(client), 5) for _ in range(3)]

    assert {job.type for job in jobs} == {UNWORKED}


async def test_without_a_live_endpoint_the_outcome_is_unknown_and_no_error_is_raised() -> None:
    async with ApiClient([DEAD]) as api:
        assert await StatusUpdates(api).send([claim(str(uuid4()))]) == [None]


class Reports:
    """A reporter, and the jobs in flight."""

    def __init__(self, api: ApiClient) -> None:
        self._updates = StatusUpdates(api)
        state = worker_state({"loop": 10})
        self.in_flight, self.totals, self.lane = state.in_flight, state.totals, state.lanes["loop"]
        self.reporter = Reporter(state, self._updates, Backoff())

    async def claim(self, job_id: str) -> Claimed:
        [outcome] = await self._updates.send([claim(job_id)])
        assert outcome is not None
        assert outcome.accepted.attempt == 1
        claimed = Claimed(DispatchRecord(id=job_id, type=UNWORKED), self.lane, 1)
        self.lane.hold()
        self.in_flight.held[job_id] = claimed
        return claimed

    async def end(self, job_id: str, outcome: Outcome) -> None:
        self.reporter.put(await self.claim(job_id), outcome)
        assert await self.reporter.flush(10)
        assert self.in_flight.held == {}
        assert self.lane.capacity == 10


@pytest.fixture
async def reports(api: ApiClient) -> AsyncIterator[Reports]:
    reports = Reports(api)
    running = asyncio.create_task(reports.reporter.run())
    yield reports
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize(
    ("outcome", "status", "error"),
    [
        (Succeeded.with_result({"hash": "00"}), "completed", {}),
        (
            Failed("INVALID_INPUT", "input: must be a string", permanent=True),
            "failed",
            {
                "code": "INVALID_ARGUMENT",
                "reason": "INVALID_INPUT",
                "message": "input: must be a string",
            },
        ),
        (
            Failed("HANDLER_ERROR", "x" * 5000, permanent=True),
            "failed",
            {"code": "INTERNAL", "reason": "HANDLER_ERROR", "message": "x" * 4096},
        ),
        (Failed("HANDLER_ERROR", "x"), "queued", {}),
        (Failed("RETRY_AFTER", "x", retry_after=3600), "queued", {}),
        (Interrupted(), "queued", {}),
    ],
    ids=["succeeded", "invalid input", "failed at length", "to be retried", "retried later", "interrupted"],
)
async def test_an_outcome_is_recorded(
    reports: Reports, client: httpx.Client, outcome: Outcome, status: str, error: dict[str, Any]
) -> None:
    job_id = new_job(client)
    await reports.end(job_id, outcome)

    job = get(client, job_id)
    assert job["status"] == status
    assert job.get("error", {}) == error


async def test_a_result_that_the_server_refuses_fails_its_job_with_a_reason(
    reports: Reports, client: httpx.Client
) -> None:
    job_id = new_job(client)
    too_large = dict_to_struct({"text": "x" * 1_000_000})
    too_large["more"] = "x" * 100_000

    await reports.end(job_id, Succeeded(too_large, too_large.ByteSize()))

    job = get(client, job_id)
    assert (job["status"], job["error"]["reason"]) == ("failed", "INVALID_RESULT")
    assert "result: must be at most 1048576 bytes" in job["error"]["message"]


async def test_a_superseded_report_is_dropped_and_counted(reports: Reports, client: httpx.Client) -> None:
    job_id = new_job(client)
    claimed = await reports.claim(job_id)
    reports.in_flight.held[job_id] = stale = Claimed(claimed.record, claimed.lane, attempt=2)

    reports.reporter.put(stale, Succeeded.with_result({}))

    assert await reports.reporter.flush(10)
    assert (reports.totals.superseded, reports.totals.completed) == (1, 0)
    assert get(client, job_id)["status"] == "processing"


class JobsGivenUp(JobsTaken):
    """Removes the jobs that were given up from the table, as the runner does."""

    def __init__(self, in_flight: InFlightJobs) -> None:
        super().__init__()
        self._in_flight = in_flight

    def give_up(self, claimed: Claimed) -> None:
        super().give_up(claimed)
        self._in_flight.remove(claimed)


class Claims:
    """A claimer with one lane, and the jobs and records that it hands over."""

    def __init__(self, api: ApiClient) -> None:
        self._tracker = OffsetTracker()
        self._tracker.assign(PARTITION)
        self._offset = -1
        state = worker_state({"loop": 10})
        state.desired.receive(Fleet(consuming=True, revision=1))
        self.in_flight, self.lane = state.in_flight, state.lanes["loop"]
        jobs, records = JobsGivenUp(state.in_flight), RecordsTaken()
        self.started, self.given_up, self.finished = jobs.started, jobs.given_up, records.finished
        self.claimer = Claimer(state, StatusUpdates(api), jobs, records, Backoff())

    async def poll(self, job_id: str, *attempts: int) -> None:
        """Records of a job come in, from offset 0 on. Returns when no claim is under way."""
        for attempt in attempts:
            self._offset += 1
            ticket = self._tracker.begin(PARTITION, self._offset)
            assert ticket is not None
            record = DispatchRecord(id=job_id, type=UNWORKED, attempt=attempt)
            self.lane.add(WaitingRecord(record, ticket, 1))
        await asyncio.sleep(0)  # the claimer wakes up
        assert await self.claimer.wait_idle(10)


@pytest.fixture
async def claims(api: ApiClient) -> AsyncIterator[Claims]:
    claims = Claims(api)
    running = asyncio.create_task(claims.claimer.run())
    yield claims
    running.cancel()
    await asyncio.wait([running])


async def release(api: ApiClient, job_id: str) -> None:
    """Queue the job again, as the end of its lease would."""
    token = Token(worker_id=WORKER_ID, attempt=1)
    request = UpdateStatusRequest(id=job_id, status=Job.Status.queued, token=token)
    [outcome] = await StatusUpdates(api).send([request])
    assert outcome is not None
    assert outcome.WhichOneof("outcome") == "accepted"


async def test_a_record_published_after_the_current_claim_has_its_job_claimed_again(
    api: ApiClient, claims: Claims, client: httpx.Client
) -> None:
    job_id = new_job(client)
    await claims.poll(job_id, 0)
    await release(api, job_id)

    await claims.poll(job_id, 1)

    assert [claimed.attempt for claimed in claims.started] == [1, 2]
    assert claims.given_up == claims.started[:1]
    assert claims.finished == [0, 1]
    assert get(client, job_id)["attempt"] == 2


async def test_a_record_published_before_the_current_claim_is_refused(
    claims: Claims, client: httpx.Client
) -> None:
    job_id = new_job(client)
    await claims.poll(job_id, 0)

    await claims.poll(job_id, 0)

    assert (len(claims.started), claims.given_up, claims.finished) == (1, [], [0, 1])


async def test_a_later_record_is_claimed_after_an_earlier_one_was_refused(
    api: ApiClient, claims: Claims, client: httpx.Client
) -> None:
    job_id = new_job(client)
    [outcome] = await StatusUpdates(api).send([claim(job_id)])
    assert outcome is not None
    await release(api, job_id)

    await claims.poll(job_id, 0, 1)

    assert [claimed.attempt for claimed in claims.started] == [2]
    assert sorted(claims.finished) == [0, 1]


async def test_a_later_record_is_forgotten_when_its_partition_is_revoked(
    claims: Claims, client: httpx.Client
) -> None:
    job_id = new_job(client)
    await claims.poll(job_id, 0)
    ticket = Ticket(PARTITION, 1, 1)
    claims.in_flight.add_successor(
        WaitingRecord(DispatchRecord(id=job_id, type=UNWORKED, attempt=1), ticket, 1)
    )

    claims.in_flight.drop_successors({PARTITION})
    claims.in_flight.remove(claims.started[0])

    assert claims.lane.take() is None
