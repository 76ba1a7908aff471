"""The database's time, so that no two processes compare their own clocks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from api_server.domain.errors import StoreUnavailable

REFRESH_SECONDS = 10.0
MILLISECOND = timedelta(milliseconds=1)
SLOW_SECONDS = 0.5
"""An answer slower than this says too little about the time; half of it is the error."""

log = structlog.get_logger()


class MongoClock:
    """See api_server.ports.Clock. `read_time` asks the database; `monotonic` counts seconds.

    `start` must succeed once before `now` is used.
    """

    def __init__(
        self, read_time: Callable[[], Awaitable[datetime]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read_time = read_time
        self._monotonic = monotonic
        self._base: tuple[datetime, float] | None = None
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._elapsed = -1
        """Milliseconds since the base, at the latest look."""
        self._refreshing: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        """UTC, in milliseconds as the database has them, never earlier than what it said before."""
        if self._base is None:
            raise RuntimeError("the clock has not been started")
        time_then, monotonic_then = self._base
        # Several looks in the same millisecond, which busy servers take, cost little.
        elapsed = round((self._monotonic() - monotonic_then) * 1_000_000) // 1000
        if elapsed != self._elapsed:
            self._elapsed = elapsed
            self._latest = max(self._latest, time_then + elapsed * MILLISECOND)
        return self._latest

    async def start(self) -> None:
        """Ask once, then go on asking every REFRESH_SECONDS. Raises StoreUnavailable."""
        await self.refresh()
        self._refreshing = asyncio.create_task(self._keep_refreshing())

    async def stop(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def refresh(self) -> None:
        """Ask the database. Raises StoreUnavailable."""
        before = self._monotonic()
        answer = await self._read_time()
        took = self._monotonic() - before
        if self._base is None or took < SLOW_SECONDS:
            self._base = answer, before + took / 2
            self._elapsed = -1

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except StoreUnavailable:
                log.warning("clock_not_refreshed")
            except Exception:
                # The clock goes on by itself meanwhile.
                log.exception("clock_not_refreshed")
