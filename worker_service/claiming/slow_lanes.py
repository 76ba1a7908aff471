"""Warns when jobs wait long for a slot: their lane has too few slots, or the worker too little CPU."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from worker_service.claiming.lanes import Lane

log = structlog.get_logger()

TICK_SECONDS = 1.0
LONG_SECONDS = 10.0
"""A wait that is worth a warning."""
AGAIN_SECONDS = 60.0
"""How long there is no second warning about the same lane."""


class OldestWait:
    """How long, at least, the oldest waiting record has waited.

    It looks at arrival numbers only, so waiting records need no time stamps.
    """

    def __init__(self, now: float) -> None:
        self._marked_at = now
        self._mark = 0
        """The number of the last arrival at that time."""

    def update(self, now: float, arrivals: int, oldest: int | None) -> float:
        """The wait in seconds.

        `arrivals`: how many records have arrived since the start. `oldest`: the number of the arrival that
        has waited longest, counted from 1; None if none waits.
        """
        if oldest is None or oldest > self._mark:
            self._marked_at, self._mark = now, arrivals
        return now - self._marked_at


async def watch_waits(
    lanes: Mapping[str, Lane], clock: Callable[[], float] = time.monotonic, tick: float = TICK_SECONDS
) -> None:
    """Until cancelled. `lanes` by their names."""
    waits = {name: OldestWait(clock()) for name in lanes}
    warned_at: dict[str, float] = {}
    while True:
        await asyncio.sleep(tick)
        now = clock()
        for name, lane in lanes.items():
            seconds = waits[name].update(now, lane.arrivals, lane.oldest)
            # With free capacity the records wait for something else, such as an API server that does not
            # answer.
            if (
                seconds < LONG_SECONDS
                or lane.capacity
                or now - warned_at.get(name, -AGAIN_SECONDS) < AGAIN_SECONDS
            ):
                continue
            warned_at[name] = now
            log.warning("jobs_wait_for_a_slot", lane=name, seconds=round(seconds, 1), slots=lane.limit)
