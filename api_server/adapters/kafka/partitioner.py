"""Chooses the partitions for the jobs of one publish. Pure.

A few jobs, which may be long ones, are spread over all partitions, so that all workers get some. Under load
they go in groups of JOBS_PER_PART: each partition in a publish costs the broker and this server about as much
as ten jobs, and every partition still gets some jobs within a second.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from service_runtime.recent_count import RecentCount

JOBS_PER_PART = 16
RECENT_SECONDS = 1.0


class _Topic:
    def __init__(self, clock: Callable[[], float]) -> None:
        self.next_turn = 0
        self.published = RecentCount(RECENT_SECONDS, clock)


class Partitioner:
    """The partitions of each topic get parts of the jobs in turn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._topics: defaultdict[str, _Topic] = defaultdict(lambda: _Topic(clock))

    def split(
        self, topic: str, partitions: Sequence[int], jobs: Sequence[int]
    ) -> list[tuple[int, Sequence[int]]]:
        """Each part's partition and jobs. Needs at least one job and one partition."""
        state = self._topics[topic]
        many = state.published.count() >= len(partitions) * JOBS_PER_PART
        count = min(len(partitions), -(-len(jobs) // JOBS_PER_PART) if many else len(jobs))
        state.published.note(len(jobs))
        first = state.next_turn
        state.next_turn = (first + count) % len(partitions)
        return [(partitions[(first + nth) % len(partitions)], jobs[nth::count]) for nth in range(count)]
