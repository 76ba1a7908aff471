"""What clients see at the gateway while a server behind it is down or hangs."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import httpx
import pytest

from job_client._gen.jobs.v1 import job_service_pb2, job_service_pb2_grpc
from local_stack.stack import Stack
from tests.e2e.rest import COMPUTE, PATIENCE, error_of
from tests.waiting import wait_for

OUT_OF_REACH = "No server can be reached for this call; try again"
TOO_LATE = "The server did not answer in time: whether the call took effect is unknown"


@contextmanager
def stopped(stack: Stack, part: str) -> Iterator[None]:
    stack.stop(part, 1)
    try:
        yield
    finally:
        stack.start(part, 1)


@contextmanager
def frozen(stack: Stack, part: str) -> Iterator[None]:
    stack.freeze(part, 1)
    try:
        yield
    finally:
        stack.thaw(part, 1)


def native_failure(stack: Stack) -> grpc.RpcError:
    with grpc.insecure_channel(stack.endpoints.jobs_address) as channel:
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failure:
            stub.Create(job_service_pb2.CreateRequest(type="compute"), timeout=PATIENCE)
        return failure.value


def test_without_an_api_server_a_call_is_503_and_unavailable(stack: Stack) -> None:
    with stopped(stack, "api_server"):
        for answer in (
            httpx.get(f"{stack.endpoints.jobs_url}/jobs"),
            httpx.post(f"{stack.endpoints.jobs_url}/jobs", json=COMPUTE),
        ):
            assert error_of(answer, 503, 14)["message"] == OUT_OF_REACH
        failure = native_failure(stack)

    assert failure.code() == grpc.StatusCode.UNAVAILABLE
    assert failure.details() == OUT_OF_REACH


def test_the_gateway_finds_an_api_server_that_is_back_by_itself(stack: Stack) -> None:
    ready = f"{stack.endpoints.jobs_url}/readyz"
    with stopped(stack, "api_server"):
        error_of(httpx.get(f"{stack.endpoints.jobs_url}/jobs"), 503, 14)
        wait_for(lambda: httpx.get(ready).status_code == 503, "the port is not ready")
        assert httpx.get(f"{stack.endpoints.jobs_url}/healthz").status_code == 200

    answer = httpx.get(f"{stack.endpoints.jobs_url}/jobs")
    deadline = time.monotonic() + PATIENCE
    while answer.status_code == 503 and time.monotonic() < deadline:
        answer = httpx.get(f"{stack.endpoints.jobs_url}/jobs")
    assert answer.status_code == 200
    wait_for(lambda: httpx.get(ready).status_code == 200, "the port is ready")


def test_without_a_worker_the_control_port_is_503(stack: Stack) -> None:
    with stopped(stack, "worker"):
        answer = httpx.post(f"{stack.endpoints.workers_url}/stop")
        ready = f"{stack.endpoints.workers_url}/readyz"
        wait_for(lambda: httpx.get(ready).status_code == 503, "the port is not ready")

    assert error_of(answer, 503, 14)["message"] == OUT_OF_REACH


@pytest.mark.slow
def test_an_api_server_that_hangs_is_504_and_deadline_exceeded(stack: Stack) -> None:
    with frozen(stack, "api_server"):
        with ThreadPoolExecutor() as threads:
            native = threads.submit(native_failure, stack)
            answer = httpx.post(f"{stack.endpoints.jobs_url}/jobs", json=COMPUTE, timeout=PATIENCE)
        failure = native.result()

    assert error_of(answer, 504, 4)["message"] == TOO_LATE
    assert failure.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert failure.details() == TOO_LATE
