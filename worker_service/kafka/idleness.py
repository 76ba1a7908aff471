"""Says so when this worker has nothing to consume: it would wait for jobs for ever, and look well."""

import asyncio
from collections.abc import Callable, Collection

import structlog

log = structlog.get_logger()

TICK_SECONDS = 1.0
IDLE_SECONDS = 30.0
"""Longer than a rebalance takes."""


async def warn_when_idle(
    assignment: Callable[[], Collection[object]],
    idle_seconds: float = IDLE_SECONDS,
    tick: float = TICK_SECONDS,
) -> None:
    """Until cancelled: warn when `assignment` has been empty for `idle_seconds`, once until it is not."""
    seconds = 0.0
    while True:
        await asyncio.sleep(tick)
        before, seconds = seconds, 0.0 if assignment() else seconds + tick
        if before < idle_seconds <= seconds:
            log.warning(
                "no_partitions",
                seconds=idle_seconds,
                problem="there are more workers than partitions of their topics: this one gets no jobs",
                remedy="run fewer workers, or add partitions to the topics",
            )
