"""Warns when this worker has no partition: it would wait for jobs for ever, and look healthy."""

import asyncio

import structlog

from worker_service.kafka.ports import Assignment

log = structlog.get_logger()

TICK_SECONDS = 1.0
IDLE_SECONDS = 30.0
"""Longer than a rebalance takes."""


async def warn_when_idle(
    consumer: Assignment, idle_seconds: float = IDLE_SECONDS, tick: float = TICK_SECONDS
) -> None:
    """Until cancelled: warn whenever the assignment has become empty and was so for `idle_seconds`."""
    seconds = 0.0
    while True:
        await asyncio.sleep(tick)
        before, seconds = seconds, 0.0 if consumer.assignment() else seconds + tick
        if before < idle_seconds <= seconds:
            log.warning(
                "no_partitions",
                seconds=idle_seconds,
                problem="there are more workers than partitions of their topics: this one gets no jobs",
                remedy="run fewer workers, or add partitions to the topics",
            )
