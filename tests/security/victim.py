"""A client that does nothing wrong, while another one attacks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import Message

from job_client._gen.jobs.v1 import job_service_pb2, job_service_pb2_grpc
from tests.conftest import UNWORKED
from tests.e2e.rest import PATIENCE
from tests.waiting import until

PAUSE = 0.05
"""Seconds between two calls."""


class Victim:
    """Creates and lists jobs. `calls` counts the calls, `failures` tells which of them failed."""

    def __init__(self) -> None:
        self.calls = 0
        self.failures: list[str] = []

    async def call_forever(self, address: str) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        request = job_service_pb2.CreateRequest(type=UNWORKED)
        request.payload["input"] = "victim"
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            stub = job_service_pb2_grpc.JobServiceStub(channel)
            while True:
                await self._call(stub.Create, request)
                await self._call(stub.List, job_service_pb2.ListRequest(page_size=1))
                await asyncio.sleep(PAUSE)

    async def _call(self, method: Any, request: Message) -> None:
        self.calls += 1
        try:
            await method(request, timeout=PATIENCE)
        except grpc.RpcError as error:
            self.failures.append(str(error))


@asynccontextmanager
async def unharmed(address: str) -> AsyncIterator[Victim]:
    """Calls go on for as long as the block runs. All of them must succeed."""
    victim = Victim()
    calls = asyncio.create_task(victim.call_forever(address))
    try:
        yield victim
        # Also after the attack.
        seen = victim.calls
        await until(lambda: victim.calls >= seen + 4, "calls are made after the attack")
    finally:
        calls.cancel()
    assert not victim.failures, f"{len(victim.failures)} of {victim.calls}: {victim.failures[0]}"
