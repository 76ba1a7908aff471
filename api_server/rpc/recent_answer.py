"""An answer that all callers share for a moment, so that its cost does not grow with their number."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

FRESH_SECONDS = 1.0


class RecentAnswer(Generic[T]):
    """The latest answer, FRESH_SECONDS old at most. One is made at a time."""

    def __init__(self, make: Callable[[], Awaitable[T]], clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._make = make
        self._clock = clock
        self._latest: T | None = None
        self._as_of = -math.inf
        self._making = asyncio.Lock()

    async def get(self) -> T:
        """Raises what `make` raises. A failure is not shared: the next caller tries again."""
        async with self._making:
            if self._latest is None or self._clock() - self._as_of > FRESH_SECONDS:
                begin = self._clock()
                self._latest = await self._make()
                self._as_of = begin
            return self._latest
