"""The database's time, so that processes never compare their own clocks."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from api_server.adapters.mongo.time_bounds import Bounds, combined, of_answer
from api_server.domain.errors import StoreUnavailable

REFRESH_SECONDS = 10.0
MILLISECOND = timedelta(milliseconds=1)
QUICK_SECONDS = 0.05
"""`start` stops asking when the time is known to within this."""
START_QUESTIONS = 5
"""How often `start` asks at most."""
JUMP_SECONDS = 0.25
"""A difference from the expected time above this is a jump of the database's clock."""

log = structlog.get_logger()


class MongoClock:
    """See api_server.recovery.ports.DatabaseClock. `read_time` asks the database; `monotonic` counts seconds.

    `now` is the earliest time that the database's clock can show, so it is never ahead: no schedule starts
    early, and no lease ends early. It is behind by up to the round trip of the fastest answers.

    `start` must succeed once before `now` is called.
    """

    def __init__(
        self, read_time: Callable[[], Awaitable[datetime]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._read_time = read_time
        self._monotonic = monotonic
        self._bounds: Bounds | None = None
        self._latest = datetime.min.replace(tzinfo=UTC)
        self._elapsed = -1
        """Milliseconds from when the bounds were set to the latest call of `now`."""
        self._steady_since = 0.0
        self._refreshing: asyncio.Task[None] | None = None

    def now(self) -> datetime:
        """UTC, cut to milliseconds as the database stores them, never earlier than a time returned before."""
        bounds = self.bounds
        # A busy server asks several times in a millisecond: compute the time once.
        elapsed = round((self._monotonic() - bounds.at) * 1_000_000) // 1000
        if elapsed != self._elapsed:
            self._elapsed = elapsed
            time = bounds.earliest + elapsed * MILLISECOND
            self._latest = max(self._latest, time.replace(microsecond=time.microsecond // 1000 * 1000))
        return self._latest

    def steady_seconds(self) -> float:
        """See the port."""
        return max(0.0, self._monotonic() - self._steady_since)

    @property
    def bounds(self) -> Bounds:
        """The bounds within which the database's clock is known."""
        if self._bounds is None:
            raise RuntimeError("the clock has not been started")
        return self._bounds

    async def start(self) -> None:
        """Ask until the time is known well enough, then again every REFRESH_SECONDS. Raises StoreUnavailable.

        The first answer may be slow, for example during an election.
        """
        for _ in range(START_QUESTIONS):
            await self.refresh()
            if self.bounds.width <= QUICK_SECONDS:
                break
        else:
            log.warning("clock_not_exact", seconds=round(self.bounds.width, 3))
        self._refreshing = asyncio.create_task(self._keep_refreshing())

    async def stop(self) -> None:
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.gather(self._refreshing, return_exceptions=True)

    async def refresh(self) -> None:
        """Ask the database. Raises StoreUnavailable."""
        asked_at = self._monotonic()
        shown = await self._read_time()
        self._learn(of_answer(shown, asked_at, self._monotonic()))

    def _learn(self, answer: Bounds) -> None:
        if self._bounds is None:
            self._bounds, self._steady_since = answer, answer.at
            return
        self._bounds, jump = combined(self._bounds, answer)
        self._elapsed = -1
        if abs(jump) > JUMP_SECONDS:
            # `now` stands still until the database's time has caught up with it.
            stands_for = (self._latest - answer.earliest).total_seconds()
            self._steady_since = answer.at + max(0.0, stands_for)
            log.warning("database_time_jumped", seconds=round(jump, 3))

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except StoreUnavailable:
                log.warning("clock_not_refreshed")
            except Exception:
                # The clock continues with the bounds that it has.
                log.exception("clock_not_refreshed")
