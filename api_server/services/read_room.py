"""Bounds the reads of many or large jobs: a few at a time, and others wait for a moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api_server.domain.errors import ReadsOverloaded

WAIT_SECONDS = 1.0
"""Longer, and the caller or the gateway would give up while the call waits, and send it again."""


class ReadRoom:
    """Lets `at_a_time` reads run. More of them would only delay each other, and the heartbeats of workers."""

    def __init__(self, at_a_time: int, wait_seconds: float = WAIT_SECONDS) -> None:
        self._places = asyncio.Semaphore(at_a_time)
        self._wait_seconds = wait_seconds

    @property
    def is_full(self) -> bool:
        """Whether the next read has to wait."""
        return self._places.locked()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the read inside the block. Raises ReadsOverloaded if there is none in time."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError:
            raise ReadsOverloaded from None
        try:
            yield
        finally:
            self._places.release()
