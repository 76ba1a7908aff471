"""The client: jobs in, jobs out."""

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

from job_client.backoff import next_look
from job_client.channel import open_channel
from job_client.creating import Creating
from job_client.errors import ClientClosed, DeadlineExceeded, JobNotFound
from job_client.fields import id_text, seconds, type_name
from job_client.forks import FORKS, forked
from job_client.hand import Hand
from job_client.item import Item
from job_client.job import ENDED_NUMBERS, Job, to_job
from job_client.new_job import Encoded, NewJob, RetryPolicy, encode
from job_client.outcomes import InOrder, Outcome
from job_client.pipeline import Pipeline, PipelineLimits
from job_client.reading import Reading
from jobs.v1 import job_pb2

TIMEOUT = 30.0
"""Seconds for which a call that gets no answer is sent again, unless its caller says otherwise."""


class JobClient:
    """Calls of one event loop, over one channel. They raise JobClientError (job_client/errors.py); TypeError or ValueError for a
    `timeout` that is no number of seconds, and for an argument that should be iterable and is not; and nothing else.

    Calls wait for nothing but their own answer. What is asked for while earlier calls are under way goes together, so many
    callers at a time cost little. A call whose outcome is unknown is sent again until the time given (`timeout`, in seconds) is
    up; a job is never made twice by that, because its id is chosen here. A caller that goes away withdraws what was not sent yet;
    what is under way may still be stored.
    """

    def __init__(
        self,
        address: str = "127.0.0.1:3000",
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = TIMEOUT,
        calls_in_flight: int = 4,
        jobs_in_hand: int = 10_000,
        bytes_in_hand: int = 16 * 1024 * 1024,
    ) -> None:
        """`address`: host:port of the gateway or of an API server. At most so many calls are under way at a time, creates and reads
        counted apart, and at most so many jobs and their bytes in hand: beyond that callers wait. Raises ValueError for less than 1,
        and TypeError for what is no number.
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
        self._limits = PipelineLimits(
            calls=calls_in_flight, items_in_hand=jobs_in_hand, bytes_in_hand=bytes_in_hand
        )
        self._phase = random.random()  # noqa: S311 - clients look at different moments
        self._waits = 0
        self._open: _Open | None = None

    async def __aenter__(self) -> Self:
        """Raises JobClientError in a process that was forked while gRPC was in use."""
        FORKS.check()
        self._open = _Open(open_channel(self._address, self._credentials), self._limits)
        FORKS.add(self._open)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        """Whatever is still in hand ends with ClientClosed."""
        # In a forked process even closing would hang.
        if self._open is not None and self._open.process == os.getpid():
            opened, self._open = self._open, None
            await opened.close()
            FORKS.remove(opened)

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
        timeout: float | None = None,
    ) -> Job:
        """Store a job; it is durable when this returns. What may be said of it: see NewJob.

        Raises InvalidArgument, JobIdTaken, or DeadlineExceeded: then it may have been stored or not, and to create it again with
        the `id` in the error's metadata is safe.
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
            )
        )
        item = await self._opened.creates.start(encoded, encoded.id, encoded.size, self._give_up(timeout))
        return await item.result()

    async def create_many(
        self, jobs: Iterable[NewJob] | AsyncIterable[NewJob], *, timeout: float | None = None
    ) -> AsyncGenerator[Outcome, None]:
        """Store jobs; what came of each, in their order, as soon as it is known. One that is refused does not hold up the others.

        `jobs` may be endless: it is read no further than there is room for what has not been handed out yet. `timeout` is
        each job's own, from when it is in hand. Raises ClientClosed, and what `jobs` raises.
        """
        limit = self._seconds(timeout)
        room = Hand(self._limits.items_in_hand, self._limits.bytes_in_hand)
        async with aclosing(InOrder(self._opened.creates, room, limit).outcomes(jobs)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    async def get(self, job_id: UUID | str, *, timeout: float | None = None) -> Job:
        """Raises JobNotFound, InvalidArgument, DeadlineExceeded."""
        return to_job(await self._read(id_text(job_id), self._give_up(timeout)))

    async def get_many(
        self, job_ids: Iterable[UUID | str], *, timeout: float | None = None
    ) -> list[Job | None]:
        """In the order of the ids; None: there is no such job. Raises InvalidArgument, DeadlineExceeded."""
        reads, give_up = self._opened.reads, self._give_up(timeout)
        items: list[Item[str, job_pb2.Job]] = []
        try:
            for index, job_id in enumerate(job_ids):
                text = id_text(job_id, f"ids[{index}]")
                items.append(await reads.start(text, text, len(text), give_up))
            return [await _found(item) for item in items]
        finally:
            for item in items:
                item.future.cancel()

    async def wait(self, job_id: UUID | str, *, timeout: float | None = None) -> Job:
        """The job, once it is completed, failed or cancelled. `timeout` None: however long that takes.

        Raises JobNotFound, InvalidArgument, or DeadlineExceeded, whose metadata has the job's latest `status` if the server was there.
        """
        text, clock = id_text(job_id), asyncio.get_running_loop().time
        begin = clock()
        give_up = math.inf if timeout is None else begin + seconds("timeout", timeout)
        self._waits += 1
        try:
            while (job := await self._read(text, give_up)).status not in ENDED_NUMBERS:
                now = clock()
                look = next_look(now - begin, self._waits, now - self._phase) + self._phase
                await asyncio.sleep(min(look, give_up) - now)
                if look >= give_up:
                    raise not_ended(to_job(job))
            return to_job(job)
        finally:
            self._waits -= 1

    async def _read(self, job_id: str, give_up: float) -> job_pb2.Job:
        item = await self._opened.reads.start(job_id, job_id, len(job_id), give_up)
        return await item.result()

    def _give_up(self, timeout: float | None) -> float:
        return asyncio.get_running_loop().time() + self._seconds(timeout)

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else seconds("timeout", timeout)

    @property
    def _opened(self) -> "_Open":
        if self._open is None:
            raise ClientClosed("the client is not open; use it as `async with JobClient(...) as client`")
        if self._open.process != os.getpid():
            raise forked(
                f"this client was opened in process {self._open.process}, and this process was forked from that"
            )
        return self._open


class _Open:
    """What an open client has."""

    def __init__(self, channel: grpc.aio.Channel, limits: PipelineLimits) -> None:
        self.process = os.getpid()
        self._channel = channel
        self.creates: Pipeline[Encoded, Job] = Pipeline(Creating(channel), limits)
        self.reads: Pipeline[str, job_pb2.Job] = Pipeline(Reading(channel), limits)

    async def close(self) -> None:
        await self.creates.close()
        await self.reads.close()
        await self._channel.close()


async def _found(item: Item[str, job_pb2.Job]) -> Job | None:
    try:
        return to_job(await item.result())
    except JobNotFound:
        return None


def not_ended(job: Job) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"job {job.id} has not ended in the time given, is {job.status}",
        reason="CLIENT_DEADLINE_EXCEEDED",
        metadata={"id": job.id, "status": job.status},
    )
