"""Counts recent events."""

from collections import deque
from collections.abc import Callable


class RecentCount:
    """The number of events in the last `seconds`."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._noted: deque[tuple[float, int]] = deque()
        self._count = 0

    def note(self, events: int = 1) -> None:
        """`events` happened just now."""
        self._noted.append((self._clock(), events))
        self._count += events

    def count(self) -> int:
        since = self._clock() - self._seconds
        while self._noted and self._noted[0][0] < since:
            self._count -= self._noted.popleft()[1]
        return self._count
