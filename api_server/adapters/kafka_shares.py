"""Which partitions the jobs of one publish go to. Pure.

A few jobs, which may be long ones, are spread as widely as possible, so that all workers get some. Where many jobs come
anyway, every partition gets its share within a second, and each share in a publish costs the broker and us about as much
as ten jobs: then they go in shares of JOBS_A_SHARE.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

JOBS_A_SHARE = 16
RECENT_SECONDS = 1.0


@dataclass(slots=True)
class _Topic:
    next_turn: int = 0
    published: deque[tuple[float, int]] = field(default_factory=deque)
    """When how many jobs were published, in the last RECENT_SECONDS."""


class Shares:
    """Partitions of each topic get shares in turn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._topics: defaultdict[str, _Topic] = defaultdict(_Topic)

    def split(
        self, topic: str, partitions: Sequence[int], jobs: Sequence[int]
    ) -> list[tuple[int, Sequence[int]]]:
        """Each share's partition and jobs; there is one job at least, and one partition."""
        state = self._topics[topic]
        many = self._recent(state) >= len(partitions) * JOBS_A_SHARE
        count = min(len(partitions), -(-len(jobs) // JOBS_A_SHARE) if many else len(jobs))
        state.published.append((self._clock(), len(jobs)))
        first = state.next_turn
        state.next_turn = (first + count) % len(partitions)
        return [(partitions[(first + nth) % len(partitions)], jobs[nth::count]) for nth in range(count)]

    def _recent(self, state: _Topic) -> int:
        since = self._clock() - RECENT_SECONDS
        while state.published and state.published[0][0] < since:
            state.published.popleft()
        return sum(count for _, count in state.published)
