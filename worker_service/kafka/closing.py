"""Closes a Kafka consumer completely, even without Kafka."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer

log = structlog.get_logger()

CLOSE_SECONDS = 5.0
CLOSE_PART_SECONDS = 0.4


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Takes CLOSE_SECONDS at most, and a little more for each part that aiokafka itself did not close."""
    problem = await _closed(consumer.stop(), CLOSE_SECONDS)
    if not problem:
        return
    log.warning("consumer_not_closed", problem=problem)
    # `stop` ends at the first part that fails. Then the client would go on for ever, and connect again.
    for part in (consumer._fetcher, consumer._client):  # noqa: SLF001 - aiokafka offers no other way
        if part is not None and (problem := await _closed(part.close(), CLOSE_PART_SECONDS)):
            log.warning("consumer_not_closed", part=type(part).__name__, problem=problem)


async def _closed(closing: Coroutine[Any, Any, None], seconds: float) -> str:
    """Why it was not closed; empty if it was.

    It runs in its own task because, without Kafka, aiokafka's cancellations of its own tasks reach the
    caller.
    """
    task = asyncio.create_task(closing)
    await asyncio.wait([task], timeout=seconds)
    if not task.done():
        task.cancel()
        return f"it did not close within {seconds:g} s"
    if task.cancelled():
        return "aiokafka cancelled it"
    error = task.exception()
    return "" if error is None else repr(error)
