"""Bytes that may be in hand together; whoever comes beyond waits."""

import asyncio
from collections import deque


class ByteRoom:
    """Room for so many bytes, or for a larger thing alone. Those who wait are served in the order of their coming."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, size: int) -> None:
        """Wait until `size` bytes fit, and take them: until `give_back`."""
        if not self._waiting and self._fits(size):
            self._taken += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = size, turn
        self._waiting.append(waiting)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            else:
                self._waiting.remove(waiting)
                self._serve()
            raise

    def give_back(self, size: int) -> None:
        """So many of the bytes taken are free again."""
        self._taken -= size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            self._taken += size
            turn.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self._taken or self._taken + size <= self._max_bytes
