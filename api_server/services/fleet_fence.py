"""Keeps workers from claiming what has been stopped, even when they do not know of the stop yet.

A worker that was frozen when the stop came may still send claims. So each API server reads the desired state
by itself and keeps it in memory, FRESH_SECONDS old at most: a claim costs no read. SetFleet answers a stop
FENCE_SECONDS after it was stored, when every server knows of it.
"""

import asyncio
import math
import time
from collections.abc import Callable

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.fleet import Fleet
from api_server.ports import FleetStore

log = structlog.get_logger()

REFRESH_SECONDS = 0.2
FRESH_SECONDS = 0.5
FENCE_SECONDS = 0.75
"""FRESH_SECONDS, and the time from a claim's look at the desired state to its write."""


class FleetFence:
    """A ports.DesiredFleet. `run` keeps the state fresh; without it `desired` may cost a read."""

    def __init__(self, fleet: FleetStore, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock`: monotonic seconds."""
        self._fleet = fleet
        self._clock = clock
        self._desired = Fleet()
        self._as_of = -math.inf
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Read the state again and again, until cancelled."""
        while True:
            try:
                await self._read()
            except StoreUnavailable:
                pass  # The store has logged the outage, and a claim reads again.
            except Exception:
                log.exception("desired_fleet_not_read")
            await asyncio.sleep(REFRESH_SECONDS)

    async def desired(self) -> Fleet:
        """The desired state as it was FRESH_SECONDS ago, or later. Raises StoreUnavailable."""
        while self._clock() - self._as_of > FRESH_SECONDS:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
                self._reading.add_done_callback(self._forget)
            # Several callers share one read. A caller that is cancelled must not end it.
            await asyncio.shield(self._reading)
        return self._desired

    def _forget(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            # Retrieved, so that asyncio logs no error when every caller has gone.
            reading.exception()

    async def _read(self) -> None:
        asked_at = self._clock()
        desired = await self._fleet.fleet()
        if asked_at >= self._as_of:
            self._desired, self._as_of = desired, asked_at
