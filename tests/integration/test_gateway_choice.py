"""Which server gets a call. Envoy runs alone, in front of one server of the test and one that is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import DESCRIPTOR, CreateRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import (
    JobServiceServicer,
    JobServiceStub,
    add_JobServiceServicer_to_server,
)
from local_stack.settings import HOST, StackSettings
from local_stack.stack import Stack
from service_runtime.server import GrpcServer

CALLS = 50


class Busy(JobServiceServicer):
    """Has always some calls under way."""

    async def Create(self, request: CreateRequest, _context: Any) -> Job:  # noqa: N802 - gRPC's name
        await asyncio.sleep(0.2)
        return Job(type=request.type)


@asynccontextmanager
async def served(port: int) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(HOST, port, deadline=10)
    servicer: Any = Busy  # the other calls are left out on purpose
    servicer = servicer()
    server.add(
        DESCRIPTOR.services_by_name["JobService"],
        lambda target: add_JobServiceServicer_to_server(servicer, target),
    )
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Stack]:
    stack = Stack(StackSettings.with_free_ports(tmp_path, api_servers=2))
    try:
        await asyncio.to_thread(stack.start, "gateway")
        yield stack
    finally:
        await asyncio.to_thread(stack.down)


@pytest.mark.parametrize("number", [1, 2])
async def test_calls_are_repeated_at_the_server_that_is_there_even_if_it_fails_its_health_checks(
    gateway: Stack, number: int
) -> None:
    # If no server reports SERVING, the one that refuses connections stays a candidate. It never has a call in
    # progress.
    async with (
        served(gateway.port("api_server", number)),
        grpc.aio.insecure_channel(gateway.endpoints.jobs_address) as channel,
    ):
        stub = JobServiceStub(channel)
        request = CreateRequest(type="compute", payload=dict_to_struct({}))
        calls = []
        for _ in range(CALLS):
            calls.append(stub.Create(request, timeout=20))
            await asyncio.sleep(0.01)
        assert [job.type for job in await asyncio.gather(*calls)] == ["compute"] * CALLS
