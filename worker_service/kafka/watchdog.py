"""Tells health checks whether this worker really consumes, and ends a worker that has not for too long."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()

TICK_SECONDS = 0.25
MOST_SECONDS_A_TICK = 2.0
HEALTHY_SECONDS = 10.0
HOPELESS_SECONDS = 30.0


class ConsumptionLost(Exception):
    """No successful poll for HOPELESS_SECONDS: only a new process helps."""


class Silence:
    """How long, in seconds, a counter has stood still.

    A tick counts for MOST_SECONDS_A_TICK at most, so that a process that was stopped and goes on is given its time.
    """

    def __init__(self, count: int, now: float) -> None:
        self._count = count
        self._last = now
        self.seconds = 0.0

    def tick(self, count: int, now: float) -> None:
        """Look at the counter."""
        self.seconds += min(now - self._last, MOST_SECONDS_A_TICK)
        self._last = now
        if count != self._count:
            self._count = count
            self.seconds = 0.0


async def watch(
    contacts: Callable[[], int],
    set_serving: Callable[[bool], Awaitable[None]],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Until cancelled: serving while `contacts` has gone up in the last HEALTHY_SECONDS. Raises ConsumptionLost."""
    silence = Silence(contacts(), clock())
    serving = False
    while silence.seconds < HOPELESS_SECONDS:
        await asyncio.sleep(TICK_SECONDS)
        silence.tick(contacts(), clock())
        healthy = contacts() > 0 and silence.seconds < HEALTHY_SECONDS
        if healthy != serving:
            serving = healthy
            await set_serving(serving)
            log.info("health_changed", serving=serving)
    raise ConsumptionLost(f"no successful poll for {HOPELESS_SECONDS:g} s")
