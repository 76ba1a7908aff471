"""The client: creates jobs, reads them and waits for them."""

import asyncio
import math
import os
import random
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import grpc

from job_client._gen.jobs.v1 import job_pb2
from job_client.backoff import next_poll
from job_client.batching import BatcherLimits
from job_client.calls import Calls
from job_client.capacity import Capacity
from job_client.create_many import OrderedCreates, Outcome
from job_client.errors import ClientClosed, DeadlineExceeded, JobNotFound
from job_client.fields import id_text, seconds, type_name
from job_client.forks import FORKS, forked
from job_client.job import ENDED_NUMBERS, Job, to_job
from job_client.new_job import NewJob, encode
from job_client.notify import Notify
from job_client.pending import PendingItem
from job_client.retry_policy import RetryPolicy

TIMEOUT = 30.0
"""Seconds for which a call without an answer is repeated, unless the caller gives another `timeout`."""


class JobClient:
    """A client for one event loop, with one channel.

    Its methods raise JobClientError (job_client/errors.py). They raise TypeError or ValueError only for a
    `timeout` that is not a number of seconds, and for an argument that should be iterable and is not.

    Callers do not wait for each other. Requests that are made while earlier calls are in flight go together
    in one call, so many callers at a time cost little. A call with an unknown outcome is repeated until
    `timeout` seconds are over. This never creates a job twice, because the client chooses the job's id. When
    a caller is cancelled, its request is withdrawn if it was not sent yet; a request in flight may still be
    carried out.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:3000",
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = TIMEOUT,
        calls_in_flight: int = 4,
        pending_jobs: int = 10_000,
        pending_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        """`address`: host:port of the gateway or of an API server. `timeout`: the default for all calls.

        `calls_in_flight`: the maximum of calls in flight, for creates and for reads each. `pending_jobs`,
        `pending_bytes`: the maximum of jobs and of bytes in memory; further callers wait. Raises ValueError
        if a limit is less than 1, and TypeError if an argument has the wrong type.
        """
        if not isinstance(address, str):
            raise TypeError(f"address must be a string, is of type {type_name(address)}")
        if not isinstance(credentials, grpc.ChannelCredentials | None):
            raise TypeError(
                f"credentials must be grpc.ChannelCredentials, is of type {type_name(credentials)}"
            )
        self._address = address
        self._credentials = credentials
        self._timeout = seconds("timeout", timeout)
        self._limits = BatcherLimits(
            calls=calls_in_flight, pending_items=pending_jobs, pending_bytes=pending_bytes
        )
        self._phase = random.random()  # noqa: S311 - spreads the reads of several clients, keeps no secret
        self._waits = 0
        self._open: Calls | None = None

    async def __aenter__(self) -> Self:
        """Raises JobClientError in a process that was forked while gRPC was in use."""
        FORKS.check()
        self._open = Calls(self._address, self._credentials, self._limits)
        FORKS.add(self._open)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Everything that is pending ends with ClientClosed."""
        # In a forked process even closing the channel would hang.
        if self._open is not None and self._open.process == os.getpid():
            calls, self._open = self._open, None
            await calls.close()
            FORKS.remove(calls)

    async def create(
        self,
        job_type: str,
        payload: Mapping[str, Any],
        *,
        labels: Mapping[str, str] = {},
        job_id: UUID | str | None = None,
        retry_policy: RetryPolicy | None = None,
        schedule_time: datetime | None = None,
        expire_time: datetime | None = None,
        attempt_timeout: timedelta | None = None,
        notify: Notify | None = None,
        timeout: float | None = None,
    ) -> Job:
        """Create a job. It is stored durably when this returns. NewJob describes the arguments.

        Raises InvalidArgument, JobIdTaken, DeadlineExceeded. After DeadlineExceeded the job may be stored or
        not. It is safe to create it again with the `id` in the error's metadata.
        """
        encoded = encode(
            NewJob(
                job_type,
                payload,
                labels,
                job_id,
                retry_policy,
                schedule_time,
                expire_time,
                attempt_timeout,
                notify,
            )
        )
        return await self._calls.create(encoded, self._give_up(timeout))

    async def create_many(
        self, jobs: Iterable[NewJob] | AsyncIterable[NewJob], *, timeout: float | None = None
    ) -> AsyncGenerator[Outcome, None]:
        """Create jobs and yield the outcome of each, in the order of `jobs`, as soon as it is known.

        A job that is refused does not delay the others. `jobs` may be endless: it is read only while there is
        capacity (`pending_jobs`, `pending_bytes`) for jobs whose outcome was not yielded yet. `timeout` holds
        for each job, from the moment when it is queued. Raises ClientClosed, and what `jobs` raises.
        """
        limit = self._seconds(timeout)
        capacity = Capacity(self._limits.pending_items, self._limits.pending_bytes)
        creates = OrderedCreates(self._calls.creates, capacity, limit)
        async with aclosing(creates.outcomes(jobs)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def get(self, job_id: UUID | str, *, timeout: float | None = None) -> Job:
        """Raises JobNotFound, InvalidArgument, DeadlineExceeded."""
        return to_job(await self._calls.get(id_text(job_id), self._give_up(timeout)))

    async def get_many(
        self, job_ids: Iterable[UUID | str], *, timeout: float | None = None
    ) -> list[Job | None]:
        """The jobs, in the order of `job_ids`; None where there is no such job.

        Raises InvalidArgument, DeadlineExceeded.
        """
        calls, give_up = self._calls, self._give_up(timeout)
        items: list[PendingItem[str, job_pb2.Job]] = []
        try:
            for index, job_id in enumerate(job_ids):
                text = id_text(job_id, f"ids[{index}]")
                items.append(await calls.start_get(text, give_up))
            return [await _found(item) for item in items]
        finally:
            for item in items:
                item.future.cancel()

    async def wait(self, job_id: UUID | str, *, timeout: float | None = None) -> Job:
        """Wait until the job is completed, failed or cancelled, and return it.

        `timeout` None: without a limit.
        Raises JobNotFound, InvalidArgument, DeadlineExceeded. The metadata of DeadlineExceeded has the job's
        last `status` if a server answered.
        """
        text, clock = id_text(job_id), asyncio.get_running_loop().time
        begin = clock()
        give_up = math.inf if timeout is None else begin + seconds("timeout", timeout)
        self._waits += 1
        try:
            while (job := await self._calls.get(text, give_up)).status not in ENDED_NUMBERS:
                now = clock()
                poll = next_poll(now - begin, self._waits, now - self._phase) + self._phase
                await asyncio.sleep(min(poll, give_up) - now)
                if poll >= give_up:
                    raise not_ended(to_job(job))
            return to_job(job)
        finally:
            self._waits -= 1

    def _give_up(self, timeout: float | None) -> float:
        return asyncio.get_running_loop().time() + self._seconds(timeout)

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else seconds("timeout", timeout)

    @property
    def _calls(self) -> Calls:
        if self._open is None:
            raise ClientClosed("the client is not open; use it as `async with JobClient(...) as client`")
        if self._open.process != os.getpid():
            raise forked(
                f"this client was opened in process {self._open.process}, and this process was forked from it"
            )
        return self._open


async def _found(item: PendingItem[str, job_pb2.Job]) -> Job | None:
    try:
        return to_job(await item.result())
    except JobNotFound:
        return None


def not_ended(job: Job) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"job {job.id}: the timeout is over and the job is {job.status}",
        reason="CLIENT_DEADLINE_EXCEEDED",
        metadata={"id": job.id, "status": job.status},
    )
