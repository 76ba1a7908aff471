"""Calls that wait for a job's end, through the real gateway: they are neither cut nor sent twice."""

import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, cast

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, jobs_client
from tests.e2e.rest import COMPUTE, error_of
from tests.gate import Gate

BEYOND_AN_ATTEMPT = 2.5
"""Seconds: longer than the time after which the gateway sends a call without an answer to another server."""


@pytest.fixture
def stub(stack: Stack) -> Any:
    with grpc.insecure_channel(stack.endpoints.jobs_address) as channel:
        yield job_service_pb2_grpc.JobServiceStub(channel)


def test_create_with_wait_answers_with_the_result(client: httpx.Client) -> None:
    answer = client.post("/jobs?wait=15s", json=COMPUTE)

    job = answer.json()
    assert answer.status_code == 201, job
    assert (job["status"], job["revision"], list(job["result"])) == ("completed", 3, ["hash"])


def test_get_with_wait_answers_when_the_job_has_ended(stack: Stack, client: httpx.Client, gate: Gate) -> None:
    job = create(client, "gated", gate.payload)
    with ThreadPoolExecutor() as threads, jobs_client(stack) as other:
        call = threads.submit(other.get, f"/jobs/{job['id']}?wait=15s")
        assert not wait([call], BEYOND_AN_ATTEMPT).done
        gate.open()
        ended = call.result()

    assert ended.json()["status"] == "completed"


def test_a_wait_that_is_over_answers_with_the_present_state(client: httpx.Client) -> None:
    job = create(client, UNWORKED, {})
    begin = time.monotonic()

    answer = client.get(f"/jobs/{job['id']}?wait={BEYOND_AN_ATTEMPT}s")

    assert job.pop("warnings")
    assert (answer.status_code, answer.json()) == (200, job)
    assert BEYOND_AN_ATTEMPT <= time.monotonic() - begin < 15


def created(stub: Any, **fields: Any) -> job_pb2.Job:
    """A job that nobody takes, as Get shows it: without warnings."""
    request = job_service_pb2.CreateRequest(type=UNWORKED, payload=dict_to_struct({}), **fields)
    job = stub.Create(request, metadata=(("jobs-wait", "yes"),))
    assert len(job.warnings) == 1
    job.ClearField("warnings")
    return cast("job_pb2.Job", job)


def test_a_grpc_call_that_announces_its_wait_waits(stub: Any) -> None:
    job = created(stub, wait=Duration(nanos=1))
    wait = Duration(seconds=2, nanos=500_000_000)
    begin = time.monotonic()

    answer = stub.Get(job_service_pb2.GetRequest(id=job.id, wait=wait), metadata=(("jobs-wait", "yes"),))

    assert (answer, answer.status) == (job, job_pb2.Job.queued)
    assert time.monotonic() - begin >= BEYOND_AN_ATTEMPT


def test_a_wait_that_the_gateway_does_not_know_of_ends_before_it_repeats_the_call(stub: Any) -> None:
    job = created(stub)
    begin = time.monotonic()

    answer = stub.Get(job_service_pb2.GetRequest(id=job.id, wait=Duration(seconds=15)))

    assert answer == job
    assert 0.7 <= time.monotonic() - begin < 10


def test_a_wait_ends_before_the_callers_deadline(stub: Any) -> None:
    job = created(stub)
    request = job_service_pb2.GetRequest(id=job.id, wait=Duration(seconds=15))

    assert stub.Get(request, timeout=1.5, metadata=(("jobs-wait", "yes"),)) == job


@pytest.mark.parametrize("wait", ["3601s", "-1s", "10", "abc", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_wait_that_is_none_is_refused_and_named(client: httpx.Client, method: str, wait: str) -> None:
    path = "/jobs/0198f0a0-0000-7000-8000-000000000001" if method == "GET" else "/jobs"
    answer = client.request(method, f"{path}?wait={wait}", json=COMPUTE if method == "POST" else None)

    assert "wait" in error_of(answer, 400, 3)["message"]


def test_a_wait_in_a_body_and_in_the_query_must_be_the_same(client: httpx.Client) -> None:
    body = {**COMPUTE, "wait": "5s"}

    assert client.post("/jobs?wait=5s", json=body).json()["status"] == "completed"
    assert "wait" in error_of(client.post("/jobs?wait=6s", json=body), 400, 3)["message"]


def test_the_same_create_with_another_wait_is_the_same_request(client: httpx.Client) -> None:
    headers = {"idempotency-key": f"waits-{time.time_ns()}"}
    first = client.post("/jobs", json=COMPUTE, headers=headers).json()

    ended = client.post("/jobs?wait=15s", json=COMPUTE, headers=headers).json()

    assert (ended["id"], ended["status"]) == (first["id"], "completed")


def test_an_unknown_job_is_not_waited_for(client: httpx.Client) -> None:
    begin = time.monotonic()

    error_of(client.get("/jobs/0198f0a0-0000-7000-8000-000000000001?wait=15s"), 404, 5)

    assert time.monotonic() - begin < 10
