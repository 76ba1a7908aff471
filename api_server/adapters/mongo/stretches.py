"""Examines a walk in stretches, so that it ends in time and at a known id, even if no job meets the
conditions.

MongoDB reads whole documents to check conditions, and documents may be large. For each stretch, the id at its
far end is read first, from the index alone. Then the jobs up to it are examined. The time of one stretch
decides how many entries the next one has.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from pymongo.errors import ExecutionTimeout, NetworkTimeout

from api_server.adapters.mongo.client import Collection
from api_server.adapters.mongo.walk import Walk

EXAMINED = 10_000
"""Index entries that are examined at most."""
SEARCH_SECONDS = 1.0
"""After this time no further stretch begins."""
FIRST_STRETCH = 100
STRETCH_SECONDS = 0.5
"""After this time a stretch is stopped, and a shorter one is tried. So all stretches end within READ_SECONDS.
"""
AIM_SECONDS = 0.1
"""How long a stretch should take."""
MAX_GROWTH, SHRINKAGE = 4, 8


async def examine_in_stretches(
    jobs: Collection, walk: Walk, examine: Callable[[Walk], Awaitable[bool]]
) -> UUID | None:
    """Call `examine` with one stretch after the other, until it returns False or a limit is reached.

    Returns the id at which the last stretch ended; None: it was the last stretch of the walk. `examine` must
    change nothing when it raises ExecutionTimeout or NetworkTimeout: it is then called for a shorter stretch.
    """
    entries_left, entries = EXAMINED, FIRST_STRETCH
    reached: UUID | None = None
    start = time.monotonic()
    while True:
        entries = min(entries, entries_left)
        far_end = await _far_end(jobs, walk, entries)
        begin = time.monotonic()
        try:
            goes_on = await examine(walk.up_to(far_end))
        except (ExecutionTimeout, NetworkTimeout):
            if reached and time.monotonic() - start > SEARCH_SECONDS:
                return reached
            if entries == 1:
                raise
            entries = max(entries // SHRINKAGE, 1)
            continue
        if far_end is None:
            return None
        entries_left -= entries
        now = time.monotonic()
        if not goes_on or entries_left == 0 or now - start > SEARCH_SECONDS:
            return far_end
        walk, reached = walk.after(far_end), far_end
        entries = next_stretch(entries, now - begin)


def next_stretch(entries: int, seconds: float) -> int:
    """How many entries to look at next, when the last ones took `seconds`."""
    return max(int(entries * min(AIM_SECONDS / max(seconds, 0.001), MAX_GROWTH)), 1)


def find_far_end(jobs: Collection, walk: Walk, entries: int) -> Any:
    """A cursor over the id of entry number `entries` of a walk; empty if the walk has fewer."""
    ids = jobs.find(walk.within, {"_id": 1}).sort("_id", walk.direction).hint(list(walk.index.items()))
    return ids.skip(entries - 1).limit(1)


async def _far_end(jobs: Collection, walk: Walk, entries: int) -> UUID | None:
    found = await find_far_end(jobs, walk, entries).to_list(1)
    return found[0]["_id"] if found else None
