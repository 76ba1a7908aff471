"""What a worker says to a real API server: batches with a culprit in them, results that do not fit, dead endpoints."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from google.rpc.code_pb2 import Code

from jobs.v1.dispatch_pb2 import DispatchRecord
from jobs.v1.job_pb2 import Job
from jobs.v1.job_service_pb2 import Claim, UpdateStatusRequest
from local_stack.stack import Stack
from service_runtime.structs import dict_to_struct
from tests.e2e.jobs_api import create, get, jobs_client, workers_client
from worker_service.api_client import ApiClient
from worker_service.backoff import Backoff
from worker_service.hand import Claimed, Hand
from worker_service.lanes import Lane
from worker_service.outcome import Failed, Interrupted, Outcome, Succeeded
from worker_service.reporter import Reporter
from worker_service.totals import Totals
from worker_service.updates import StatusUpdates

WORKER_ID = "test/1"
DEAD = "127.0.0.1:1"


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with jobs_client(stack) as client:
        yield client


@pytest.fixture(autouse=True)
def stopped_fleet(stack: Stack) -> Iterator[None]:
    """No worker takes the jobs that the tests want for themselves."""
    with workers_client(stack) as control:
        assert control.post("/stop").json()["pendingWorkerIds"] == []
        yield
        control.post("/start")


@pytest.fixture
async def api(stack: Stack) -> AsyncIterator[ApiClient]:
    async with ApiClient([stack.address("api_server")]) as api:
        yield api


def claim(job_id: str) -> UpdateStatusRequest:
    return UpdateStatusRequest(
        id=job_id, status=Job.Status.processing, claim=Claim(worker_id=WORKER_ID, expected_attempt=0)
    )


def new_job(client: httpx.Client) -> str:
    return str(create(client, "compute", {"input": ""})["id"])


async def test_a_request_that_breaks_a_rule_is_refused_alone(api: ApiClient, client: httpx.Client) -> None:
    first, last = new_job(client), new_job(client)

    outcomes = await StatusUpdates(api).send([claim(first), claim("no uuid"), claim(last)])

    told = [outcome and (outcome.accepted.attempt, outcome.error.code) for outcome in outcomes]
    assert told == [(1, Code.OK), (0, Code.INVALID_ARGUMENT), (1, Code.OK)]


async def test_a_claim_sent_again_is_answered_as_before(api: ApiClient, client: httpx.Client) -> None:
    job_id = new_job(client)

    outcomes = [(await StatusUpdates(api).send([claim(job_id)]))[0] for _ in range(2)]

    assert [outcome and outcome.accepted.attempt for outcome in outcomes] == [1, 1]


async def test_an_endpoint_that_is_down_is_passed_over(stack: Stack, client: httpx.Client) -> None:
    async with ApiClient([DEAD, stack.address("api_server")]) as api:
        jobs = [await api.get(new_job(client), 5) for _ in range(3)]

    assert {job.type for job in jobs} == {"compute"}


async def test_without_an_endpoint_nothing_is_known_and_nothing_raised() -> None:
    async with ApiClient([DEAD]) as api:
        assert await StatusUpdates(api).send([claim(str(uuid4()))]) == [None]


class Reports:
    """A reporter at work, and the jobs in its hand."""

    def __init__(self, api: ApiClient) -> None:
        self._updates = StatusUpdates(api)
        self.hand, self.totals = Hand(), Totals()
        self.reporter = Reporter(WORKER_ID, self._updates, self.hand, self.totals, Backoff())
        self.lane = Lane(10, on_work=lambda: None, on_full_change=lambda: None)

    async def claim(self, job_id: str) -> Claimed:
        [outcome] = await self._updates.send([claim(job_id)])
        assert outcome is not None
        assert outcome.accepted.attempt == 1
        claimed = Claimed(DispatchRecord(id=job_id, type="compute"), self.lane, 1)
        self.lane.hold()
        self.hand.held[job_id] = claimed
        return claimed

    async def end(self, job_id: str, outcome: Outcome) -> None:
        self.reporter.put(await self.claim(job_id), outcome)
        assert await self.reporter.flush(10)
        assert self.hand.held == {}
        assert self.lane.room == 10


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
        (Succeeded(dict_to_struct({"hash": "00"})), "completed", {}),
        (
            Failed("INVALID_INPUT", "input: must be a string"),
            "failed",
            {
                "code": "INVALID_ARGUMENT",
                "reason": "INVALID_INPUT",
                "message": "input: must be a string",
            },
        ),
        (
            Failed("HANDLER_ERROR", "x" * 5000),
            "failed",
            {"code": "INTERNAL", "reason": "HANDLER_ERROR", "message": "x" * 4096},
        ),
        (Interrupted(), "queued", {}),
    ],
    ids=["succeeded", "invalid input", "failed at length", "interrupted"],
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

    await reports.end(job_id, Succeeded(too_large))

    job = get(client, job_id)
    assert (job["status"], job["error"]["reason"]) == ("failed", "INVALID_RESULT")
    assert "result: must be at most 1048576 bytes" in job["error"]["message"]


async def test_a_superseded_report_is_dropped_and_counted(reports: Reports, client: httpx.Client) -> None:
    job_id = new_job(client)
    claimed = await reports.claim(job_id)
    reports.hand.held[job_id] = stale = Claimed(claimed.record, claimed.lane, attempt=2)

    reports.reporter.put(stale, Succeeded(dict_to_struct({})))

    assert await reports.reporter.flush(10)
    assert (reports.totals.superseded, reports.totals.completed) == (1, 0)
    assert get(client, job_id)["status"] == "processing"
