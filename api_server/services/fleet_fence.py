"""Keeps workers from claiming what has been stopped, whatever they know of it.

A worker that was frozen when the stop came may have claims on their way. So each API server looks at the wish by itself,
and knows it as it was FRESH_SECONDS ago at most: a claim costs no read. Whoever stores a stop waits for FENCE_SECONDS
before saying that it holds.
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
"""FRESH_SECONDS, and the time that a claim takes from the look at the wish to the database."""


class FleetFence:
    """Run `run` beside the calls; without it each look may cost a read."""

    def __init__(self, fleet: FleetStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._fleet = fleet
        self._clock = clock
        self._desired = Fleet()
        self._as_of = -math.inf
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._read()
            except StoreUnavailable:
                pass  # Told by whoever asked, and a claim asks again.
            except Exception:
                log.exception("fleet_wish_not_read")
            await asyncio.sleep(REFRESH_SECONDS)

    async def desired(self) -> Fleet:
        """The wish as it was FRESH_SECONDS ago, or later. Raises StoreUnavailable."""
        while self._clock() - self._as_of > FRESH_SECONDS:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
                self._reading.add_done_callback(self._forget)
            # Many wait for one read, and one that goes must not end it.
            await asyncio.shield(self._reading)
        return self._desired

    def _forget(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        if not reading.cancelled():
            reading.exception()  # seen, though all who waited may have gone

    async def _read(self) -> None:
        asked_at = self._clock()
        desired = await self._fleet.fleet()
        if asked_at >= self._as_of:
            self._desired, self._as_of = desired, asked_at
