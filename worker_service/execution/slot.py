"""One of a lane's slots. A job runs in a slot."""

import asyncio
from typing import Any, Self

from worker_service.claiming.lanes import Lane


class Slot:
    """Acquires a slot of a lane for `async with`, or for longer if the handler does not end with its job."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.is_kept = False

    async def __aenter__(self) -> Self:
        await self._lane.slots.acquire()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if not self.is_kept:
            self._lane.slots.release()

    def keep_until(self, handler: asyncio.Future[Any]) -> None:
        """Keep the slot until `handler` is done. Until then no other job is claimed for it."""
        self.is_kept = True
        self._lane.leave_behind()
        handler.add_done_callback(self._release)

    def _release(self, _handler: asyncio.Future[Any]) -> None:
        self._lane.slots.release()
        self._lane.recover()
