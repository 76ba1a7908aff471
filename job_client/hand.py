"""A bounded amount in hand: who brings more than there is room for waits, first come, first served."""

import asyncio
from collections import deque


class Hand:
    """Counts items and their bytes. An item larger than all room may enter when nothing else is there."""

    def __init__(self, items: int, size: int) -> None:
        self._most_items, self._most_bytes = items, size
        self._items = self._bytes = 0
        self._at_the_door: deque[tuple[int, asyncio.Future[None]]] = deque()

    def try_enter(self, size: int) -> bool:
        """Whether there was room at once, and nobody came before."""
        if self._at_the_door or not self._has_room(size):
            return False
        self._take(size)
        return True

    async def enter(self, size: int) -> None:
        """Wait for room and take it."""
        if self.try_enter(size):
            return
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._at_the_door.append((size, let_in))
        try:
            await let_in
        except asyncio.CancelledError:
            if let_in.done() and not let_in.cancelled():
                self.leave(size)
            else:
                let_in.cancel()
                self._let_in()
            raise

    def leave(self, size: int) -> None:
        """An item of this size is done."""
        self._items -= 1
        self._bytes -= size
        self._let_in()

    def _let_in(self) -> None:
        while self._at_the_door:
            size, let_in = self._at_the_door[0]
            if not let_in.done():
                if not self._has_room(size):
                    return
                self._take(size)
                let_in.set_result(None)
            self._at_the_door.popleft()

    def _has_room(self, size: int) -> bool:
        return not self._items or (self._items < self._most_items and self._bytes + size <= self._most_bytes)

    def _take(self, size: int) -> None:
        self._items += 1
        self._bytes += size
