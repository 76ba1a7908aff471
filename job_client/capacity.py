"""A bound on what is in memory at a time. Callers that exceed it wait, first come, first served."""

import asyncio
from collections import deque


class Capacity:
    """Counts items and their bytes.

    An item larger than the whole capacity may enter when nothing else is inside.
    """

    def __init__(self, items: int, size: int) -> None:
        self._max_items, self._max_bytes = items, size
        self._items = self._bytes = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_acquire(self, size: int) -> bool:
        """Acquire without waiting. False if there is no capacity or if others wait already."""
        if self._waiters or not self._fits(size):
            return False
        self._add(size)
        return True

    async def acquire(self, size: int) -> None:
        """Wait until an item of `size` bytes fits, and count it."""
        if self.try_acquire(size):
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append((size, admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.done() and not admitted.cancelled():
                self.release(size)
            else:
                admitted.cancel()
                self._admit_waiters()
            raise

    def release(self, size: int) -> None:
        """An item of `size` bytes is done."""
        self._items -= 1
        self._bytes -= size
        self._admit_waiters()

    def _admit_waiters(self) -> None:
        while self._waiters:
            size, admitted = self._waiters[0]
            if not admitted.done():
                if not self._fits(size):
                    return
                self._add(size)
                admitted.set_result(None)
            self._waiters.popleft()

    def _fits(self, size: int) -> bool:
        return not self._items or (self._items < self._max_items and self._bytes + size <= self._max_bytes)

    def _add(self, size: int) -> None:
        self._items += 1
        self._bytes += size
