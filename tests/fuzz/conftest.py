"""The system under test, and a summary of all inputs at the end."""

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


@pytest_asyncio.fixture(scope="module")
async def world(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """Shared by all inputs of a module. Changes of the fleet are undone after each input."""
    logs = LogWatch(stack.log_file("api_server"), stack.log_file("worker"))
    client: AsyncIOMotorClient[Any] = AsyncIOMotorClient(uri(stack.settings))
    async with sender(stack) as sending, grpc.aio.insecure_channel(stack.address("api_server")) as channel:
        storage = Storage(client, ApiServerSettings.model_fields["mongodb_database"].default, channel)
        async with storage.indexes():
            world = World(
                sending, storage, logs, channel, await storage.worker_names(), await storage.ids(EARLIEST)
            )
            for _ in range(2):  # so that a list of jobs has several pages
                await world.complete_a_job()
            yield world
            add_lines(request.config, f"{request.path.stem}, FUZZ_SEED={FUZZ.seed}", *world.counts.lines())
            await world.finish()
    client.close()
