"""The payloads of jobs: from their records or, where they are too large to travel, read from the API server.

However many such jobs are in hand, few payloads are read at a time, and few bytes of them are in memory together.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from google.rpc.code_pb2 import Code

from contract_runtime.structs import MAX_BYTES, StructError, struct_to_dict
from service_runtime.byte_budget import ByteBudget
from service_runtime.outage import Outage
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed
from worker_service.claiming.in_flight import MOST_LARGE, Claimed

log = structlog.get_logger()

GET_SECONDS = 8.0
MOST_READS = 4
"""Payloads that are on their way at a time."""
MOST_LARGE_BYTES = MOST_LARGE * MAX_BYTES
"""Of large payloads in memory, as protobuf; Python's own objects take a few times that."""
GONE_SECONDS = 10.0
"""How long a job is asked for that is not there: after an election a read may be older than what was acknowledged."""


class JobGone(Exception):
    """A job in hand has vanished from the database."""


class Payloads:
    """Give each payload for as long as its job runs."""

    def __init__(
        self,
        api: ApiClient,
        new_backoff: Callable[[], Backoff],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._new_backoff = new_backoff
        self._clock = clock
        self._memory = ByteBudget(MOST_LARGE_BYTES)
        self._reads = asyncio.Semaphore(MOST_READS)
        self._outage = Outage("payloads", quiet_seconds=5.0)

    @asynccontextmanager
    async def of(self, claimed: Claimed) -> AsyncIterator[dict[str, Any]]:
        """The job's payload; a large one counts as in memory inside `async with`. Raises JobGone."""
        payload = _travelled(claimed)
        if payload is not None:
            yield payload
            return
        # The record does not tell the size.
        held = MAX_BYTES
        await self._memory.acquire(held)
        try:
            payload, size = await self._read(claimed)
            self._memory.release(held - size)
            held = size
            yield payload
        finally:
            self._memory.release(held)

    async def _read(self, claimed: Claimed) -> tuple[dict[str, Any], int]:
        """Asked for until it comes; with its size. Raises JobGone."""
        backoff = self._new_backoff()
        gone_since: float | None = None
        while True:
            try:
                async with self._reads:
                    payload = (await self._api.get(claimed.id, GET_SECONDS)).payload
                    self._outage.succeeded()
                    return await asyncio.to_thread(struct_to_dict, payload), payload.ByteSize()
            except ApiCallFailed as error:
                if error.code != Code.NOT_FOUND:
                    gone_since = None
                    # Every job in hand meets it.
                    self._outage.failed(str(error))
                elif gone_since is None:
                    gone_since = self._clock()
                    log.warning(
                        "payload_not_found", job_id=claimed.id, type=claimed.type, attempt=claimed.attempt
                    )
                elif self._clock() - gone_since >= GONE_SECONDS:
                    raise JobGone from None
            await asyncio.sleep(backoff.next())


def _travelled(claimed: Claimed) -> dict[str, Any] | None:
    """The payload in the record; None: the API server, which alone knows for certain, is to be asked."""
    if claimed.record.payload_omitted:
        return None
    try:
        return struct_to_dict(claimed.record.payload)
    except StructError as error:
        log.warning("record_with_a_bad_payload", job_id=claimed.id, type=claimed.type, problem=str(error))
        return None
