"""The job types that this server takes: those that the settings name and those that workers register."""

import asyncio
import math
import time
from collections.abc import Collection, Iterator, Sequence

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.stats_ports import JobTypes, JobTypeStore

log = structlog.get_logger()

REFRESH_SECONDS = 1.0
"""How often `run` reads the types that workers have registered with any server."""


class KnownJobTypes(JobTypes):
    """See api_server.stats_ports.JobTypes. Types are never forgotten, so a type in memory needs no read."""

    def __init__(self, named: Sequence[str], store: JobTypeStore | None = None) -> None:
        """`named`: by the settings. `store`: of the types that workers register; None: these do not count."""
        self._store = store
        self._types = dict.fromkeys(named)
        self._reading = asyncio.Lock()
        self._as_of = -math.inf
        """When the latest read began, by the monotonic clock."""

    def __contains__(self, job_type: object) -> bool:
        return job_type in self._types

    def __iter__(self) -> Iterator[str]:
        # A copy, because types may be added while a caller goes through them.
        return iter(tuple(self._types))

    def __len__(self) -> int:
        return len(self._types)

    @property
    def workers_add(self) -> bool:
        return self._store is not None

    async def run(self) -> None:
        """Read what workers register with other servers, until cancelled."""
        while self._store is not None:
            try:
                await self._read(self._store, time.monotonic())
            except StoreUnavailable:
                pass  # The store has logged the outage.
            except Exception:
                log.exception("job_types_not_read")
            await asyncio.sleep(REFRESH_SECONDS)

    async def look_up(self, job_types: Collection[str]) -> None:
        if self._store is not None and not all(map(self._types.__contains__, job_types)):
            await self._read(self._store, time.monotonic())

    async def register(self, job_types: Collection[str]) -> None:
        new = [each for each in job_types if each not in self._types]
        if self._store is None or not new:
            return
        await self._store.add(new)
        await self._read(self._store, time.monotonic())
        log.info("job_types_registered", types=[each for each in new if each in self._types])
        if refused := [each for each in new if each not in self._types]:
            log.error("job_types_refused", types=refused, reason="too many types are registered")

    async def _read(self, store: JobTypeStore, asked_at: float) -> None:
        """Callers that wait share the next read that begins after they asked."""
        async with self._reading:
            if self._as_of >= asked_at:
                return
            begin = time.monotonic()
            for each in await store.names():
                self._types.setdefault(each)
            self._as_of = begin
