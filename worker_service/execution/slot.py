"""Where a job runs."""

import asyncio
from typing import Any, Self

from worker_service.claiming.lanes import Lane


class Slot:
    """One of a lane's slots, taken inside `async with`, and beyond by a handler that does not end with its job."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.is_kept = False

    async def __aenter__(self) -> Self:
        await self._lane.slots.acquire()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        if not self.is_kept:
            self._lane.slots.release()

    def keep_until(self, gone: asyncio.Future[Any]) -> None:
        """The job is done with, but its handler goes on until then; so long no other job is claimed in its place."""
        self.is_kept = True
        self._lane.leave_behind()
        gone.add_done_callback(self._leave)

    def _leave(self, _gone: asyncio.Future[Any]) -> None:
        self._lane.slots.release()
        self._lane.recover()
