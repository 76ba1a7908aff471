"""For how long this server has reached the store without a break, and so could serve heartbeats in time."""

import time
from collections.abc import Callable
from datetime import timedelta

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.recovery.leadership import UnbrokenTime
from api_server.recovery.ports import Database, DatabaseClock

log = structlog.get_logger()

MAX_INTERVAL = 1.0
MAX_BREAK = 1.5
"""Heartbeat intervals between two pings that still count as unbroken.

A worker is lost after three. So a break that goes unnoticed costs no worker its name, even when the worker's
latest heartbeat came just before the break.
"""


class StoreHealth:
    """Pings the store whenever `check` is called. Call it every `interval` seconds. A ports.Availability.

    Pings that succeeded without a break show that the store answered and that this process was not stopped.
    """

    def __init__(
        self,
        database: Database,
        clock: DatabaseClock,
        heartbeat_interval: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        seconds = heartbeat_interval.total_seconds()
        self._unbroken = UnbrokenTime(max_silence=MAX_BREAK * seconds)
        self.interval = min(MAX_INTERVAL, seconds / 2)

    async def check(self) -> bool:
        """Whether the store answers."""
        asked_at = self._monotonic()
        answered = False
        try:
            await self._database.ping()
            answered = True
        except StoreUnavailable:
            pass
        except Exception:
            log.exception("store_ping_failed")
        if answered:
            self._unbroken.succeeded(asked_at)
        else:
            self._unbroken.failed(asked_at)
        return answered

    def unbroken_seconds(self) -> float | None:
        """For how long the store answered, and its time did not jump; None: it does not answer now.

        Heartbeats are stored with the store's time, so a jump makes them look older or younger than they are.
        """
        unbroken = self._unbroken.seconds(self._monotonic())
        return None if unbroken is None else min(unbroken, self._clock.steady_seconds())
