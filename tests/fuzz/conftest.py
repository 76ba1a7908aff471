"""The system as the fuzz tests use it, and a word at the end of what they sent."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import pytest_asyncio
from motor.motor_asyncio import AsyncIOMotorClient

from api_server.settings import ApiServerSettings
from local_stack.mongodb import uri
from local_stack.stack import Stack
from tests.fuzz.logs import LogWatch
from tests.fuzz.sending import sender
from tests.fuzz.settings import FUZZ
from tests.fuzz.storage import Storage
from tests.fuzz.world import World
from tests.summary import add_lines

EARLIEST = datetime.min.replace(tzinfo=UTC)


@pytest_asyncio.fixture(scope="session")
async def world(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Shared by all inputs; what they do to the fleet is undone after each."""
    logs = LogWatch(stack.log_file("api_server"), stack.log_file("worker"))
    client: AsyncIOMotorClient[Any] = AsyncIOMotorClient(uri(stack.settings))
    async with sender(stack) as sending, grpc.aio.insecure_channel(stack.address("api_server")) as channel:
        storage = Storage(client, ApiServerSettings.model_fields["mongodb_database"].default, channel)
        world = World(
            sending, storage, logs, channel, await storage.worker_names(), await storage.ids(EARLIEST)
        )
        for _ in range(2):  # a list of jobs shall have pages
            await world.do_a_good_job()
        yield world
        add_lines(request.config, f"fuzz, FUZZ_SEED={FUZZ.seed}", *world.counts.lines())
        await world.finish()
    client.close()
