"""While Kafka is away, aiokafka must neither block its caller for ever nor cancel it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from api_server.adapters.kafka.partition_offsets import PartitionOffsets

TIME_LIMIT = 0.05
DEADLINE = 10.0

Call = Callable[[asyncio.Event], Awaitable[None]]
"""What a call does while Kafka is away."""


class Client:
    """Stands for both of aiokafka's clients."""

    def __init__(self, call: Call) -> None:
        self.back = asyncio.Event()

        async def do(*_arguments: object) -> None:
            await call(self.back)

        self.describe_topics = self.stop = self.close = do


async def hang(back: asyncio.Event) -> None:
    """Swallows cancellations."""
    while not back.is_set():
        with suppress(asyncio.CancelledError):
            await back.wait()


async def leak(_back: asyncio.Event) -> None:
    raise asyncio.CancelledError


async def fail(_back: asyncio.Event) -> None:
    raise OSError("no connection")


@pytest.mark.parametrize("call", [hang, leak, fail])
async def test_a_client_that_does_not_answer_is_given_up_with_its_connections(call: Call) -> None:
    offsets = PartitionOffsets([], "group", time_limit=TIME_LIMIT)
    client: Any = Client(call)
    offsets._admin = offsets._reader = client
    async with asyncio.timeout(DEADLINE):
        assert await offsets.partition_states("compute", [0]) is None
        assert (offsets._admin, offsets._reader) == (None, None)
        await offsets.close()
        client.back.set()
        while offsets._tasks._running:
            await offsets.close()
