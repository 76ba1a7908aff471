"""The payloads of jobs: from their records or, if too large for a record, from the API server.

However many jobs need one, only a few are read at a time, and their bytes in memory are limited.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from google.rpc.code_pb2 import Code

from contract_runtime.structs import MAX_BYTES, StructError, struct_to_dict, struct_to_dict_and_size
from service_runtime.byte_budget import ByteBudget
from service_runtime.outage import Outage
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed
from worker_service.claiming.in_flight import MAX_LARGE, Claimed

log = structlog.get_logger()

GET_SECONDS = 8.0
MAX_READS = 4
"""How many payloads are read at a time."""
MAX_LARGE_BYTES = MAX_LARGE * MAX_BYTES
"""Large payloads in memory, in protobuf bytes. Python's own objects take a few times as much."""
GONE_SECONDS = 10.0
"""How long to ask again for a job that was not found: after an election, a read may miss acknowledged writes.
"""


class JobGone(Exception):
    """A job that this worker holds is no longer in the database."""


class Payloads:
    """Gives each job its payload for as long as the job runs."""

    def __init__(
        self,
        api: ApiClient,
        new_backoff: Callable[[], Backoff],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._new_backoff = new_backoff
        self._clock = clock
        self._memory = ByteBudget(MAX_LARGE_BYTES)
        self._reads = asyncio.Semaphore(MAX_READS)
        self._outage = Outage("payloads", quiet_seconds=5.0)

    @asynccontextmanager
    async def of(self, claimed: Claimed) -> AsyncIterator[dict[str, Any]]:
        """The job's payload. A large one counts as in memory inside `async with`. Raises JobGone."""
        payload = _from_record(claimed)
        if payload is not None:
            yield payload
            return
        # The record does not contain the size.
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
        """The payload and its size in bytes. Asks until the payload comes. Raises JobGone."""
        backoff = self._new_backoff()
        not_found_since: float | None = None
        while True:
            try:
                async with self._reads:
                    payload = (await self._api.get(claimed.id, GET_SECONDS)).payload
                    self._outage.succeeded()
                    return await asyncio.to_thread(struct_to_dict_and_size, payload)
            except ApiCallFailed as error:
                if error.code != Code.NOT_FOUND:
                    not_found_since = None
                    # Many jobs may meet the same failure. It is logged once.
                    self._outage.failed(str(error))
                elif not_found_since is None:
                    not_found_since = self._clock()
                    log.warning(
                        "payload_not_found", job_id=claimed.id, type=claimed.type, attempt=claimed.attempt
                    )
                elif self._clock() - not_found_since >= GONE_SECONDS:
                    raise JobGone from None
            await asyncio.sleep(backoff.next())


def _from_record(claimed: Claimed) -> dict[str, Any] | None:
    """The payload in the record. None: only the API server has it, or has a valid one."""
    if claimed.record.payload_omitted:
        return None
    try:
        return struct_to_dict(claimed.record.payload)
    except StructError as error:
        log.warning("record_payload_invalid", job_id=claimed.id, type=claimed.type, problem=str(error))
        return None
