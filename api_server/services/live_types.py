"""Which job types live workers run, from memory: a warning for a new job costs no read in the usual case."""

import asyncio
import math
import time
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.ports import Clock, WorkerStore

log = structlog.get_logger()

REFRESH_SECONDS = 1.0
FRESH_SECONDS = 0.25
"""How old an answer may be."""


class LiveSchemas(Protocol):
    """Learns the schemas of live workers; PayloadSchemas implements it."""

    async def learn(self, live: Mapping[str, AbstractSet[str]]) -> None:
        """The types of live workers, each with the ids of its schemas; "": a worker has none."""


class LiveTypes:
    """`run` keeps the types fresh. A type without a worker is read again: one may just have started."""

    def __init__(
        self, workers: WorkerStore, clock: Clock, times: HeartbeatTimes, schemas: LiveSchemas
    ) -> None:
        """`schemas` is told which schemas the live workers have."""
        self._workers = workers
        self._schemas = schemas
        self._clock = clock
        self._times = times
        self._types: AbstractSet[str] = frozenset()
        self._as_of = -math.inf
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Read the types again and again, until cancelled."""
        while True:
            try:
                await self._read(REFRESH_SECONDS / 2)
            except StoreUnavailable:
                pass  # The store has logged the outage.
            except Exception:
                log.exception("live_types_not_read")
            await asyncio.sleep(REFRESH_SECONDS)

    async def begin(self) -> None:
        """Read the types once, so that the first calls find them. Never raises."""
        try:
            await self._read(0)
        except StoreUnavailable:
            pass  # The store has logged the outage.
        except Exception:
            log.exception("live_types_not_read")

    async def present(self) -> AbstractSet[str]:
        """The types that live workers run. Raises StoreUnavailable."""
        await self._read(FRESH_SECONDS)
        return self._types

    async def warnings(self, job_types: Collection[str]) -> list[str]:
        """One sentence for each of `job_types` that no live worker runs, in order.

        Never raises: the jobs have been stored.
        """
        if all(map(self._types.__contains__, job_types)):
            return []
        try:
            present = await self.present()
        except StoreUnavailable:
            return []
        except Exception:
            log.exception("live_types_not_read")
            return []
        return [warning(each) for each in sorted(job_types) if each not in present]

    async def _read(self, fresh_seconds: float) -> None:
        """Unless the types were read within `fresh_seconds`. Callers that wait share one read."""
        async with self._reading:
            begin = time.monotonic()
            if begin - self._as_of > fresh_seconds:
                # Longer than a worker may be silent: a late heartbeat must not lead to a wrong warning.
                handlers = await self._workers.live_handlers(self._clock.now() - self._times.lease)
                self._types = handlers.keys()
                self._as_of = begin
                await self._schemas.learn(handlers)


def warning(job_type: str) -> str:
    return f"No live worker takes jobs of the type {job_type}. Its jobs wait until one starts."
