from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import pytest_asyncio

from api_server.adapters.mongo.stores import MongoStores, connect
from local_stack.mongodb import uri
from local_stack.settings import StackSettings
from local_stack.stack import Stack


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only MongoDB runs."""
    stack = Stack(StackSettings.with_free_ports(tmp_path_factory.mktemp("mongod")))
    stack.start("mongodb")
    yield stack
    stack.down()


@pytest_asyncio.fixture(scope="session")
async def stores(mongod: Stack) -> AsyncIterator[MongoStores]:
    """Shared by tests that look only at their own jobs."""
    async with connect(uri(mongod.settings), "shared") as opened:
        yield opened


@pytest_asyncio.fixture
async def empty_stores(mongod: Stack) -> AsyncIterator[MongoStores]:
    """Stores in a database that belongs to one test."""
    name = f"own_{uuid4().hex}"
    async with connect(uri(mongod.settings), name) as opened:
        yield opened
        await opened.client.drop_database(name)
