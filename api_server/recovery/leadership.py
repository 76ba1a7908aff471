"""What a server has had without a break: the lease of the one that does something, or the store within its reach."""

import math
import time
from collections.abc import Callable

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.ports import LeaderLease

log = structlog.get_logger()

LEASE_SECONDS = 5.0
MAX_SILENCE = 4.0
"""Seconds between two successful prolongations that still count as unbroken: below LEASE_SECONDS, so that a server
stops acting before another one may start, and above what a majority that lags by 3 s takes."""


class UnbrokenTime:
    """The time for which something has been prolonged without a break. Pure; times are monotonic seconds."""

    def __init__(self, max_silence: float = MAX_SILENCE) -> None:
        """`max_silence`: seconds between two prolongations that count as unbroken, if less than MAX_SILENCE."""
        self._max_silence = min(max_silence, MAX_SILENCE)
        self._since = 0.0
        self._prolonged_at: float | None = None
        self._lost_at = -math.inf

    def prolonged(self, asked_at: float) -> None:
        """The store said yes; `asked_at` is from before it was asked. Answers may come in another order than they were
        asked for.
        """
        if asked_at < self._lost_at:
            return
        if self.seconds(asked_at) is None:
            self._since = asked_at
        self._prolonged_at = asked_at if self._prolonged_at is None else max(asked_at, self._prolonged_at)

    def lost(self, asked_at: float) -> None:
        """It said no, or nobody knows."""
        self._lost_at = max(asked_at, self._lost_at)
        self._prolonged_at = None

    def seconds(self, now: float) -> float | None:
        """How long it has been so without a break; None: it is not."""
        if self._prolonged_at is None or now - self._prolonged_at > self._max_silence:
            return None
        return now - self._since


class Leadership:
    """Takes the leader's lease and keeps it.

    A lease that was prolonged all the time shows that the store took writes all the time and that this process was not
    stopped: heartbeats could be served.
    """

    def __init__(
        self,
        lease: LeaderLease,
        holder: str,
        monotonic: Callable[[], float] = time.monotonic,
        max_silence: float = MAX_SILENCE,
    ) -> None:
        """`holder`: a name that no other process has. `max_silence`: see Tenure."""
        self._lease = lease
        self._holder = holder
        self._monotonic = monotonic
        self._unbroken = UnbrokenTime(max_silence)
        self._was_leader = False

    def unbroken_seconds(self) -> float | None:
        """How long this server has been the leader without a break; None: it is not."""
        return self._unbroken.seconds(self._monotonic())

    async def prolong(self) -> bool:
        """Take or prolong the lease; whether it is held. Raises StoreUnavailable.

        May be called again before it has returned: where a majority answers late, a prolongation must not wait for the
        one before it.
        """
        asked_at = self._monotonic()
        held = False
        try:
            held = await self._lease.acquire(self._holder, LEASE_SECONDS)
        finally:
            if held:
                self._unbroken.prolonged(asked_at)
            else:
                self._unbroken.lost(asked_at)
            self._log_change(held)
        return held

    async def release(self) -> None:
        """Let another server take over at once. Out of reach, the lease runs out by itself."""
        self._unbroken.lost(self._monotonic())
        try:
            await self._lease.release(self._holder)
        except StoreUnavailable:
            log.warning("due_lease_not_released", holder=self._holder)

    def _log_change(self, held: bool) -> None:
        if held != self._was_leader:
            self._was_leader = held
            log.info("due_lease_taken" if held else "due_lease_lost", holder=self._holder)
