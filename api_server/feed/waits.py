"""The calls that wait for the end of a job, and what tells them to go on."""

import asyncio
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from enum import Enum
from uuid import UUID

from api_server.domain.errors import TooManyWaits
from api_server.domain.job import Job
from api_server.feed.demand import Demand
from api_server.feed.places import Places

NO_JOBS: AbstractSet[UUID] = frozenset()


class Notice(Enum):
    """What a wait is told."""

    ENDED = "the job has ended"
    LOOK = "the job may have ended"
    OVER = "the time is over, or the server stops"


class Wait:
    """One call's wait. It must be read by one task."""

    def __init__(self, until: float) -> None:
        """`until`: the event loop's time."""
        self._loop = asyncio.get_running_loop()
        self._until = until
        self._notice: asyncio.Future[Notice] = self._loop.create_future()
        self.ended_job: Job | None = None
        """The job as it ended, after the notice ENDED, if whoever learnt of the end had it."""
        self._timer = self._loop.call_at(until, self.give, Notice.OVER)

    def give(self, notice: Notice) -> None:
        """Tell the wait. What it has not read yet stays: after any notice it looks, or goes on."""
        if not self._notice.done():
            self._notice.set_result(notice)

    async def notice(self) -> Notice:
        """The next notice. After ENDED or OVER there is none."""
        notice = await self._notice
        if notice is Notice.LOOK:
            if self._loop.time() >= self._until:
                return Notice.OVER
            self._notice = self._loop.create_future()
        return notice

    def close(self) -> None:
        self._timer.cancel()


class Waits:
    """The waits of one process, at most `limit`. Whoever learns of a job's end calls `ended`."""

    def __init__(self, limit: int, demand: Demand) -> None:
        self._places = Places(limit, TooManyWaits)
        self._demand = demand
        self._waits: dict[UUID, set[Wait]] = {}
        self._is_closed = False
        self.position = 0
        """Goes up whenever this process learns of ends, also of jobs that no wait is for."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place for one wait inside the block. Raises TooManyWaits."""
        with self._places.one():
            yield

    @contextmanager
    def on(self, job_id: UUID, until: float) -> Iterator[Wait]:
        """A wait that is told from now on what happens to the job, until the event loop's time `until`."""
        wait = Wait(until)
        self._waits.setdefault(job_id, set()).add(wait)
        if self._is_closed:
            wait.give(Notice.OVER)
        try:
            with self._demand.ends():
                yield wait
        finally:
            wait.close()
            waits = self._waits[job_id]
            waits.remove(wait)
            if not waits:
                del self._waits[job_id]

    def is_about(self, job_id: UUID) -> bool:
        """Whether a wait is for this job."""
        return job_id in self._waits

    def which_are_about(self, job_ids: Iterable[UUID]) -> AbstractSet[UUID]:
        """Those of the jobs that a wait is for."""
        return {job_id for job_id in job_ids if job_id in self._waits} if self._waits else NO_JOBS

    def ended(self, job_id: UUID, job: Job | None = None) -> None:
        """The job has ended, and a majority of the database has that. `job`: as it ended, if known."""
        self.advance()
        for wait in self._waits.get(job_id, ()):
            wait.ended_job = job
            wait.give(Notice.ENDED)

    def advance(self) -> None:
        """Jobs may have ended that no wait is for."""
        self.position += 1

    def look(self) -> None:
        """Any job may have ended without a call of `ended`."""
        self.advance()
        self._give_all(Notice.LOOK)

    def close(self) -> None:
        """The server stops: all waits are over, later ones too."""
        self._is_closed = True
        self._give_all(Notice.OVER)

    def _give_all(self, notice: Notice) -> None:
        for waits in self._waits.values():
            for wait in waits:
                wait.give(notice)
