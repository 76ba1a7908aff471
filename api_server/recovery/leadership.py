"""Decides which server runs the due loop, and for how long it has led without a break."""

import math
import time
from collections.abc import Callable

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.recovery.ports import LeaderLease

log = structlog.get_logger()

LEASE_SECONDS = 5.0
MAX_SILENCE = 4.0
"""Seconds between two successful answers that still count as unbroken.

Below LEASE_SECONDS, so that a server stops before another one may start. Above the time that a majority with
a lag of 3 s needs.
"""


class UnbrokenTime:
    """The time since when something has succeeded again and again. Pure; times are monotonic seconds."""

    def __init__(self, max_silence: float = MAX_SILENCE) -> None:
        """`max_silence`: seconds between two successes that still count as unbroken; MAX_SILENCE at most."""
        self._max_silence = min(max_silence, MAX_SILENCE)
        self._since = 0.0
        self._succeeded_at: float | None = None
        self._failed_at = -math.inf

    def succeeded(self, asked_at: float) -> None:
        """It succeeded; `asked_at`: when it was asked for. Answers may arrive in another order than their
        requests.
        """
        if asked_at < self._failed_at:
            return
        if self.seconds(asked_at) is None:
            self._since = asked_at
        self._succeeded_at = asked_at if self._succeeded_at is None else max(asked_at, self._succeeded_at)

    def failed(self, asked_at: float) -> None:
        """It failed, or the outcome is unknown."""
        self._failed_at = max(asked_at, self._failed_at)
        self._succeeded_at = None

    def seconds(self, now: float) -> float | None:
        """For how long it has succeeded without a break; None: the latest success is missing or too old."""
        if self._succeeded_at is None or now - self._succeeded_at > self._max_silence:
            return None
        return now - self._since


class Leadership:
    """Takes the leader's lease and keeps it. A ports.Availability.

    A lease that was prolonged without a break shows that the store took writes and that this process was not
    stopped. So heartbeats could be served during that time.
    """

    def __init__(
        self,
        lease: LeaderLease,
        holder: str,
        monotonic: Callable[[], float] = time.monotonic,
        max_silence: float = MAX_SILENCE,
    ) -> None:
        """`holder`: a name that no other process has. `max_silence`: see UnbrokenTime."""
        self._lease = lease
        self._holder = holder
        self._monotonic = monotonic
        self._unbroken = UnbrokenTime(max_silence)
        self._was_leader = False

    def unbroken_seconds(self) -> float | None:
        """How long this server has been the leader without a break; None: it is not the leader."""
        return self._unbroken.seconds(self._monotonic())

    async def prolong(self) -> bool:
        """Take or prolong the lease. Returns whether this server has it. Raises StoreUnavailable.

        May be called again before it has returned: when a majority answers late, prolongations must not wait
        for each other.
        """
        asked_at = self._monotonic()
        held = False
        try:
            held = await self._lease.acquire(self._holder, LEASE_SECONDS)
        finally:
            if held:
                self._unbroken.succeeded(asked_at)
            else:
                self._unbroken.failed(asked_at)
            self._log_change(held)
        return held

    async def release(self) -> None:
        """Let another server take over at once. Without the store, the lease runs out by itself."""
        self._unbroken.failed(self._monotonic())
        try:
            await self._lease.release(self._holder)
        except StoreUnavailable:
            log.warning("due_lease_not_released", holder=self._holder)

    def _log_change(self, held: bool) -> None:
        if held != self._was_leader:
            self._was_leader = held
            log.info("due_lease_acquired" if held else "due_lease_lost", holder=self._holder)
