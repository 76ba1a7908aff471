"""A semaphore that counts bytes: limits how many bytes are in memory at a time."""

import asyncio
from collections import deque


class ByteBudget:
    """Up to `max_bytes` at a time, or one larger item alone. Waiters are served in order."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._used = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def acquire(self, size: int) -> None:
        """Wait until `size` bytes fit, and use them until `release`."""
        if not self._waiters and self._fits(size):
            self._used += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = size, turn
        self._waiters.append(waiter)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(size)
            else:
                self._waiters.remove(waiter)
                self._serve()
            raise

    def release(self, size: int) -> None:
        """Free `size` of the acquired bytes."""
        self._used -= size
        self._serve()

    def _serve(self) -> None:
        while self._waiters and self._fits(self._waiters[0][0]):
            size, turn = self._waiters.popleft()
            self._used += size
            turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self._used or self._used + size <= self._max_bytes
