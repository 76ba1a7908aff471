"""For how long this server has been able to reach the store, and so to serve heartbeats and to judge their times."""

import time
from collections.abc import Awaitable, Callable

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.recovery.leadership import UnbrokenTime

log = structlog.get_logger()

LONGEST_INTERVAL = 1.0
LONGEST_BREAK = 1.5
"""Heartbeat intervals between two pings that still count as unbroken. A worker is lost after three: one whose latest
heartbeat came just before a break that goes unnoticed is not.
"""


class StoreHealth:
    """Asks the store whenever `check` is called, which should be every `interval` seconds.

    Pings that came back all the time show that the store was there and that this process was not stopped.
    """

    def __init__(
        self,
        ping: Callable[[], Awaitable[None]],
        heartbeat_interval: float,
        steady_seconds: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ping` raises StoreUnavailable unless the store answers. `steady_seconds`: for how long the store's time, in
        which heartbeats are noted, has not jumped.
        """
        self._ping = ping
        self._steady_seconds = steady_seconds
        self._monotonic = monotonic
        self._unbroken = UnbrokenTime(max_silence=LONGEST_BREAK * heartbeat_interval)
        self.interval = min(LONGEST_INTERVAL, heartbeat_interval / 2)

    async def check(self) -> bool:
        """Whether the store answers."""
        asked_at = self._monotonic()
        answered = False
        try:
            await self._ping()
            answered = True
        except StoreUnavailable:
            pass
        except Exception:
            log.exception("health_unknown")
        if answered:
            self._unbroken.prolonged(asked_at)
        else:
            self._unbroken.lost(asked_at)
        return answered

    def unbroken_seconds(self) -> float | None:
        """How long the store has been within reach without a break or a jump of its time; None: it is not."""
        unbroken = self._unbroken.seconds(self._monotonic())
        return None if unbroken is None else min(unbroken, self._steady_seconds())
