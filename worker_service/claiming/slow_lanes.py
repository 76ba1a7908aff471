"""Tells of a lane whose jobs wait long for a place, though the worker has their records: it has too few places, or too little CPU."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from worker_service.claiming.lanes import Lane

log = structlog.get_logger()

TICK_SECONDS = 1.0
LONG_SECONDS = 10.0
"""A wait that is told of."""
AGAIN_SECONDS = 60.0
"""How long no more is said of the same lane."""


class OldestWait:
    """How long the oldest of those that wait has waited, at least. Looks at numbers of arrivals only, so that waiting costs
    nothing.
    """

    def __init__(self, now: float) -> None:
        self._marked_at = now
        self._mark = 0
        """The last that had arrived by then."""

    def look(self, now: float, arrivals: int, oldest: int | None) -> float:
        """In seconds. `arrivals`: how many have come, ever; `oldest`: which of them has waited longest, counted from 1."""
        if oldest is None or oldest > self._mark:
            self._marked_at, self._mark = now, arrivals
        return now - self._marked_at


async def watch_waits(
    lanes: Mapping[str, Lane], clock: Callable[[], float] = time.monotonic, tick: float = TICK_SECONDS
) -> None:
    """Until cancelled. `lanes` by their names."""
    waits = {name: OldestWait(clock()) for name in lanes}
    told_at: dict[str, float] = {}
    while True:
        await asyncio.sleep(tick)
        now = clock()
        for name, lane in lanes.items():
            seconds = waits[name].look(now, lane.arrivals, lane.oldest)
            # With room they wait for something else, such as an API server that does not answer.
            if (
                seconds < LONG_SECONDS
                or lane.capacity
                or now - told_at.get(name, -AGAIN_SECONDS) < AGAIN_SECONDS
            ):
                continue
            told_at[name] = now
            log.warning("jobs_wait_for_a_place", lane=name, seconds=round(seconds, 1), places=lane.limit)
