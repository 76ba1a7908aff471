"""Creates a stream of jobs and yields their outcomes in the same order, with a bounded number in between."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass

from job_client.batching import Batcher
from job_client.capacity import Capacity
from job_client.errors import JobClientError
from job_client.job import Job
from job_client.new_job import EncodedJob, NewJob, encode
from job_client.pending import PendingItem

JOBS_PER_TURN = 64
"""The event loop gets a turn after this many jobs of an iterable that never waits."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one job: either `job`, as stored, or `error`.

    `id` is the job's id, "" if the job was not sent.
    """

    request: NewJob
    id: str
    job: Job | None = None
    error: JobClientError | None = None

    def result(self) -> Job:
        """The job. Raises `error` if there is no job."""
        if self.job is None:
            raise self.error or JobClientError("there is no outcome")
        return self.job


@dataclass(slots=True)
class SubmittedJob:
    """A job whose outcome was not yielded yet.

    `item` is None for a job that was refused before it could be sent.
    """

    request: NewJob
    id: str
    size: int
    item: PendingItem[EncodedJob, Job] | None = None
    error: JobClientError | None = None

    async def outcome(self) -> Outcome:
        if self.item is None:
            return Outcome(self.request, self.id, error=self.error)
        try:
            return Outcome(self.request, self.id, await self.item.result())
        except JobClientError as error:
            return Outcome(self.request, self.id, error=error)


class OrderedCreates:
    """`capacity` bounds the jobs that were read and whose outcome was not yielded yet.

    `seconds`: the time that each job has, counted from when it is queued.
    """

    def __init__(self, batcher: Batcher[EncodedJob, Job], capacity: Capacity, seconds: float) -> None:
        self._batcher = batcher
        self._capacity = capacity
        self._seconds = seconds
        self._submitted: asyncio.Queue[SubmittedJob | None] = asyncio.Queue()
        """None marks the end."""

    async def outcomes(
        self, requests: Iterable[NewJob] | AsyncIterable[NewJob]
    ) -> AsyncGenerator[Outcome, None]:
        """Raises what `requests` raises, after the outcomes of the jobs before.

        Closing it withdraws jobs that were not sent.
        """
        reading = asyncio.create_task(self._read(requests))
        try:
            while submitted := await self._submitted.get():
                outcome = await submitted.outcome()
                self._capacity.release(submitted.size)
                yield outcome
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._withdraw()

    async def _read(self, requests: Iterable[NewJob] | AsyncIterable[NewJob]) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    self._submitted.put_nowait(await self._submit(request))
            else:
                for number, request in enumerate(requests, 1):
                    self._submitted.put_nowait(await self._submit(request))
                    if not number % JOBS_PER_TURN:
                        await asyncio.sleep(0)
        finally:
            self._submitted.put_nowait(None)

    async def _submit(self, request: NewJob) -> SubmittedJob:
        """Raises ClientClosed."""
        try:
            encoded = encode(request)
        except JobClientError as error:
            await self._capacity.acquire(0)
            return SubmittedJob(request, "", 0, error=error)
        size = encoded.size
        await self._capacity.acquire(size)
        await self._batcher.acquire(size)
        give_up = self._batcher.now() + self._seconds
        item = self._batcher.add(encoded, encoded.id, size, give_up)
        return SubmittedJob(request, encoded.id, size, item)

    def _withdraw(self) -> None:
        while not self._submitted.empty():
            submitted = self._submitted.get_nowait()
            if submitted is not None and submitted.item is not None:
                submitted.item.future.cancel()
