"""Ends a worker in which handlers that never end occupy a whole lane."""

import asyncio
import time
from collections.abc import Callable, Mapping

from worker_service.claiming.lanes import Lane

TICK_SECONDS = 1.0
HOPELESS_SECONDS = 30.0


class LaneStuck(Exception):
    """Abandoned handlers have occupied all slots of a lane for HOPELESS_SECONDS. Only a new process helps."""


async def watch_lanes(
    lanes: Mapping[str, Lane], clock: Callable[[], float] = time.monotonic, tick: float = TICK_SECONDS
) -> None:
    """Until cancelled. `lanes` by their names. Raises LaneStuck."""
    stuck_since: dict[str, float] = {}
    while True:
        now = clock()
        for name, lane in lanes.items():
            if not lane.is_stuck:
                stuck_since.pop(name, None)
            elif now - stuck_since.setdefault(name, now) >= HOPELESS_SECONDS:
                raise LaneStuck(
                    f"handlers that do not end have occupied all slots of the {name} lane "
                    f"for {HOPELESS_SECONDS:g} s"
                )
        await asyncio.sleep(tick)
