"""Which partitions the jobs of one publish go to. Pure.

A few jobs, which may be long ones, are spread as widely as possible, so that all workers get some. Where many jobs come
anyway, every partition gets its share within a second, and each share in a publish costs the broker and us about as much
as ten jobs: then they go in shares of JOBS_A_SHARE.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from service_runtime.recent_count import RecentCount

JOBS_A_SHARE = 16
RECENT_SECONDS = 1.0


class _Topic:
    def __init__(self, clock: Callable[[], float]) -> None:
        self.next_turn = 0
        self.published = RecentCount(RECENT_SECONDS, clock)


class Partitioner:
    """Partitions of each topic get shares in turn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._topics: defaultdict[str, _Topic] = defaultdict(lambda: _Topic(clock))

    def split(
        self, topic: str, partitions: Sequence[int], jobs: Sequence[int]
    ) -> list[tuple[int, Sequence[int]]]:
        """Each share's partition and jobs; there is one job at least, and one partition."""
        state = self._topics[topic]
        many = state.published.count() >= len(partitions) * JOBS_A_SHARE
        count = min(len(partitions), -(-len(jobs) // JOBS_A_SHARE) if many else len(jobs))
        state.published.note(len(jobs))
        first = state.next_turn
        state.next_turn = (first + count) % len(partitions)
        return [(partitions[(first + nth) % len(partitions)], jobs[nth::count]) for nth in range(count)]
