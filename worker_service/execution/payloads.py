"""What handlers receive: from a job's record or, if its payload is not in the record, from the API server.

However many jobs are read, only a few are read at a time, and their bytes in memory are limited.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from google.rpc.code_pb2 import Code

from contract_runtime.structs import MAX_BYTES, StructError, struct_to_dict, struct_to_dict_and_size
from job_client._gen.jobs.v1 import job_pb2
from service_runtime.byte_budget import ByteBudget
from service_runtime.outage import Outage
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed
from worker_service.claiming.in_flight import MAX_LARGE, Claimed
from worker_service.handler_api.job import Job
from worker_service.kafka.records import time_limit_of

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
    """Gives each claimed job as its handler receives it, for as long as the job runs."""

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
    async def of(self, claimed: Claimed) -> AsyncIterator[Job]:
        """The job. One that is read counts as in memory inside `async with`. Raises JobGone."""
        payload = _from_record(claimed)
        if payload is not None:
            yield job_from_record(claimed, payload)
            return
        # The record does not contain the size.
        held = MAX_BYTES
        await self._memory.acquire(held)
        try:
            job, size = await self._read(claimed)
            self._memory.release(held - size)
            held = size
            yield job
        finally:
            self._memory.release(held)

    async def _read(self, claimed: Claimed) -> tuple[Job, int]:
        """The stored job, and its payload's size in bytes. Asks until it comes. Raises JobGone."""
        backoff = self._new_backoff()
        not_found_since: float | None = None
        while True:
            try:
                async with self._reads:
                    stored = await self._api.get(claimed.id, GET_SECONDS)
                    self._outage.succeeded()
                    payload, size = await asyncio.to_thread(struct_to_dict_and_size, stored.payload)
                    return _stored_job(claimed, stored, payload), size
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


def job_from_record(claimed: Claimed, payload: dict[str, Any]) -> Job:
    """The job as its record describes it. The claim's guard has compared the record with what is stored."""
    record = claimed.record
    return Job(
        claimed.id,
        claimed.type,
        claimed.attempt,
        payload,
        # A message's own map cannot be sent to a process.
        dict(record.labels) if record.labels else {},
        record.max_attempts,
        time_limit_of(record),
    )


def _stored_job(claimed: Claimed, stored: job_pb2.Job, payload: dict[str, Any]) -> Job:
    return Job(
        claimed.id,
        claimed.type,
        claimed.attempt,
        payload,
        dict(stored.labels),
        stored.retry_policy.max_attempts,
        time_limit_of(stored),
    )


def _from_record(claimed: Claimed) -> dict[str, Any] | None:
    """The payload in the record. None: only the API server has it, or has a valid one."""
    if claimed.record.payload_omitted:
        return None
    try:
        return struct_to_dict(claimed.record.payload)
    except StructError as error:
        log.warning("record_payload_invalid", job_id=claimed.id, type=claimed.type, problem=str(error))
        return None
