"""Reads what other processes change, while somebody waits for it.

A job may be created through one API server, and its end recorded by another one. So while calls wait, this
process has one change stream open, whatever their number. What this process records itself is told at once
(told_jobs.py).
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.feed.waits import Waits
from api_server.ports import ChangeStream

log = structlog.get_logger()

LINGER_SECONDS = 10.0
"""How long the stream stays open when nobody waits any more: opening it for each of many short waits costs
more.
"""
PAUSE_SECONDS = 1.0
"""Before the next try after an outage."""


class ChangeFeed:
    """`run` opens the stream when the first call waits, and closes it after the last one."""

    def __init__(
        self, stream: ChangeStream, waits: Waits, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._waits = waits
        self._monotonic = monotonic

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._waits.needed.wait()
            try:
                await self._follow()
            except StoreUnavailable:
                await asyncio.sleep(PAUSE_SECONDS)  # the store has logged the outage
            except Exception:
                log.exception("change_stream_failed")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _follow(self) -> None:
        """Tell the changes until nobody has waited for LINGER_SECONDS. Raises StoreUnavailable."""
        async with self._stream.open() as stream:
            # A job may have ended after its wait looked at it, and before the stream was open.
            self._waits.look()
            needed_at = self._monotonic()
            while self._waits.needed.is_set() or self._monotonic() - needed_at < LINGER_SECONDS:
                if self._waits.needed.is_set():
                    needed_at = self._monotonic()
                changes = await stream.next()
                self._waits.ended(changes.ended)
