"""What aiokafka may do when Kafka is away must neither hold up nor end whoever asks."""

import asyncio
from typing import Any

import pytest

from api_server.adapters.kafka_logs import KafkaLogs

TIME_LIMIT = 0.05


class Client:
    """Stands for both clients: what each call does is `does`."""

    def __init__(self, does: Any) -> None:
        self.describe_topics = self.stop = self.close = does


async def hang(*_arguments: object) -> None:
    """For good, whoever cancels it: once."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.sleep(10 * TIME_LIMIT)


async def leak(*_arguments: object) -> None:
    raise asyncio.CancelledError


async def fail(*_arguments: object) -> None:
    raise OSError("no connection")


@pytest.mark.parametrize("does", [hang, leak, fail])
async def test_a_client_that_does_not_answer_is_given_up_with_its_connections(does: Any) -> None:
    logs = KafkaLogs([], "group", time_limit=TIME_LIMIT)
    client: Any = Client(does)
    logs._admin = logs._reader = client
    async with asyncio.timeout(5 * TIME_LIMIT):
        assert await logs.read("compute", [0]) is None
    assert (logs._admin, logs._reader) == (None, None)
    async with asyncio.timeout(5 * TIME_LIMIT):
        await logs.close()
