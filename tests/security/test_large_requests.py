"""Requests above their limits, through the gateway and past it, while another client goes on."""

from typing import Any

import grpc
import httpx
import pytest

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_service_pb2, job_service_pb2_grpc
from local_stack.stack import Stack
from tests.e2e.jobs_api import jobs_client

EMPTY_ITEM = b"\x0a\x00"
KIB = 1024


@pytest.fixture(params=["gateway", "api_server"])
def channel(stack: Stack, request: pytest.FixtureRequest) -> grpc.Channel:
    address = stack.endpoints.jobs_url.removeprefix("http://")
    return grpc.insecure_channel(address if request.param == "gateway" else stack.address("api_server"))


def refusal(channel: grpc.Channel, method: str, raw: bytes) -> str:
    call: Any = channel.unary_unary(f"/jobs.v1.JobService/{method}")
    with channel, pytest.raises(grpc.RpcError) as caught:
        call(raw, timeout=60)
    error: grpc.RpcError = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    return str(error.details())


def test_a_batch_of_many_empty_jobs_is_refused(channel: grpc.Channel) -> None:
    raw = EMPTY_ITEM * 500_000

    assert refusal(channel, "BatchCreate", raw) == "requests: must have at most 1000 items, has more"


def test_a_small_call_takes_no_large_request(channel: grpc.Channel) -> None:
    assert "at most 65536 bytes" in refusal(channel, "Get", bytes(64 * KIB + 1))


def test_a_request_that_ends_before_its_message_is_answered(channel: grpc.Channel) -> None:
    with channel, pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary("/jobs.v1.JobService/Get")(iter(()), timeout=60)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_small_rest_call_takes_no_large_body(stack: Stack) -> None:
    path = "/jobs/0198f0a0-0000-7000-8000-000000000001:cancel"
    with jobs_client(stack) as client:
        fits = client.post(path, content=b'{"reason": "x"}' + b" " * 200 * KIB)
        is_too_large = client.post(path, content=b'{"reason": "x"}' + b" " * 300 * KIB)

    assert fits.status_code == httpx.codes.NOT_FOUND
    assert is_too_large.status_code == httpx.codes.BAD_REQUEST
    assert "must have at most" in is_too_large.json()["message"]


def test_a_rest_batch_of_many_empty_jobs_is_refused(stack: Stack) -> None:
    body = b'{"requests": [' + b",".join([b"{}"] * 100_000) + b"]}"
    with jobs_client(stack) as client:
        answer = client.post("/jobs:batchCreate", content=body)

    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "requests: must have at most 1000 items, has 100000" in answer.json()["message"]


def test_the_largest_batch_of_small_jobs_is_stored(channel: grpc.Channel) -> None:
    payload = dict_to_struct({"n": "x" * 200})
    batch = job_service_pb2.BatchCreateRequest(
        requests=[job_service_pb2.CreateRequest(type="unworked", payload=payload)] * 1000
    )
    assert batch.ByteSize() > 64 * KIB
    with channel:
        answer = job_service_pb2_grpc.JobServiceStub(channel).BatchCreate(batch, timeout=60)

    assert all(each.HasField("job") for each in answer.outcomes)
