"""Many jobs handed in, what came of each handed out, in the same order, with a bounded number in between."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass

from job_client.errors import JobClientError
from job_client.hand import Hand
from job_client.item import Item
from job_client.job import Job
from job_client.new_job import Encoded, NewJob, encode
from job_client.pipeline import Pipeline

TURN = 64
"""Jobs after which the event loop has a turn, when an iterable gives more without waiting."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one job: `job` as stored, or `error`. `id` is the job's, "" if it was not even sent."""

    request: NewJob
    id: str
    job: Job | None = None
    error: JobClientError | None = None

    def result(self) -> Job:
        """The job. Raises the error."""
        if self.job is None:
            raise self.error or JobClientError("there is no outcome")
        return self.job


@dataclass(slots=True)
class Handed:
    """Between the two ends. An `item` is None for a job that was refused before it could be sent."""

    request: NewJob
    id: str
    size: int
    item: Item[Encoded, Job] | None = None
    error: JobClientError | None = None

    async def outcome(self) -> Outcome:
        if self.item is None:
            return Outcome(self.request, self.id, error=self.error)
        try:
            return Outcome(self.request, self.id, await self.item.result())
        except JobClientError as error:
            return Outcome(self.request, self.id, error=error)


class InOrder:
    """At most what `room` has place for is handed in and not yet handed out. `seconds`: each job's time, once it is in hand."""

    def __init__(self, pipeline: Pipeline[Encoded, Job], room: Hand, seconds: float) -> None:
        self._pipeline = pipeline
        self._room = room
        self._seconds = seconds
        self._handed: asyncio.Queue[Handed | None] = asyncio.Queue()

    async def outcomes(
        self, requests: Iterable[NewJob] | AsyncIterable[NewJob]
    ) -> AsyncGenerator[Outcome, None]:
        """Raises what `requests` raises, after the outcomes of those before. Leaving early withdraws what was not sent."""
        filling = asyncio.create_task(self._fill(requests))
        try:
            while handed := await self._handed.get():
                outcome = await handed.outcome()
                self._room.leave(handed.size)
                yield outcome
            await filling
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            self._withdraw()

    async def _fill(self, requests: Iterable[NewJob] | AsyncIterable[NewJob]) -> None:
        try:
            if isinstance(requests, AsyncIterable):
                async for request in requests:
                    self._handed.put_nowait(await self._hand_in(request))
            else:
                for number, request in enumerate(requests, 1):
                    self._handed.put_nowait(await self._hand_in(request))
                    if not number % TURN:
                        await asyncio.sleep(0)
        finally:
            self._handed.put_nowait(None)

    async def _hand_in(self, request: NewJob) -> Handed:
        """Raises ClientClosed."""
        try:
            encoded = encode(request)
        except JobClientError as error:
            await self._room.enter(0)
            return Handed(request, "", 0, error=error)
        size = encoded.size
        await self._room.enter(size)
        await self._pipeline.make_room(size)
        give_up = self._pipeline.now() + self._seconds
        return Handed(request, encoded.id, size, self._pipeline.add(encoded, encoded.id, size, give_up))

    def _withdraw(self) -> None:
        while not self._handed.empty():
            handed = self._handed.get_nowait()
            if handed is not None and handed.item is not None:
                handed.item.future.cancel()
