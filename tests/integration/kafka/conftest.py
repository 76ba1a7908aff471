from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
import pytest_asyncio

from api_server.adapters.mongo.stores import MongoStores, connect
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from tests.integration.kafka.broker import Broker


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Kafka and MongoDB without our services. Each test leaves both running."""
    stack = Stack(StackSettings.with_free_ports(tmp_path_factory.mktemp("servers")))
    try:
        for name in ("kafka", "mongodb"):
            stack.spawn(name)
        for name in ("kafka", "mongodb"):
            stack.wait_ready(name)
        yield stack
    finally:
        stack.down()


@pytest.fixture(scope="session")
def broker(servers: Stack) -> Broker:
    """Each test uses topics of its own."""
    return Broker([servers.address("kafka")])


@pytest_asyncio.fixture
async def stores(servers: Stack) -> AsyncIterator[MongoStores]:
    """A database of one test's own."""
    name = f"own_{uuid4().hex}"
    async with connect(f"mongodb://{servers.address('mongodb')}/?replicaSet=rs0", name) as opened:
        yield opened
        await opened.client.drop_database(name)


@pytest.fixture
def job_type() -> str:
    """A type, and so a topic, of one test's own."""
    return f"t-{uuid4().hex[:12]}"
