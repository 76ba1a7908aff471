"""The calls that watch jobs, and what each of them is still to be told."""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from uuid import UUID

from api_server.domain.changes import WatchFilter
from api_server.domain.errors import TooManyWatches
from api_server.domain.job import Job
from api_server.feed.demand import Demand
from api_server.feed.places import Places
from contract_runtime.value import value

QUEUED_STATES = 4096
"""States that one watch may be behind. The states themselves are shared by all watches."""


class End(Enum):
    """Why a watch ends, by the contract's names."""

    JOB_ENDED = "the job has ended"
    OPERATION_ENDED = "the operation has ended"
    SERVER_STOPPING = "the server stops; watch again with the resume_token, if there is one"
    SLOW_READER = "the caller reads more slowly than jobs change; watch again with the resume_token"
    HISTORY_LOST = "the server has missed changes; watch again without a resume_token"


@value
class Told:
    """The state of a job after a change, and the position of the change."""

    job: Job
    position: str


@value
class Hint:
    """Something that the watch reads itself has changed, or may have."""


class Watch:
    """One call's watch. It must be read by one task."""

    def __init__(self, wanted: UUID | WatchFilter, since: str = "", limit: int = QUEUED_STATES) -> None:
        """`since`: it is told only what stands after this position."""
        self.wanted = wanted
        self._since = since
        self._limit = limit
        self._queue: deque[Told] = deque()
        self._has_hint = False
        self._end: End | None = None
        self._news = asyncio.Event()

    def tell(self, told: Told) -> None:
        """Queue it. A watch that is too far behind ends, and its queue is given up."""
        if self._end is not None or told.position <= self._since:
            return
        if len(self._queue) < self._limit:
            self._queue.append(told)
            self._news.set()
        else:
            self.end(End.SLOW_READER)

    def hint(self) -> None:
        """The reader is told this before what is queued. Several hints are one until it is read."""
        self._has_hint = True
        self._news.set()

    def end(self, why: End) -> None:
        """The reader is told this next. What it has not read is dropped: it may resume where it is."""
        if self._end is None:
            self._end = why
            self._queue.clear()
            self._news.set()

    async def next(self, seconds: float) -> Told | Hint | End | None:
        """What the call is told next; None: nothing for so many seconds."""
        if not self._news.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._news.wait()
            except TimeoutError:
                return None
        if self._end is not None:
            return self._end
        news = Hint() if self._has_hint else self._queue.popleft()
        self._has_hint = False
        if not self._queue:
            self._news.clear()
        return news


class Watches:
    """The watches of one process, at most `limit`."""

    def __init__(self, limit: int, demand: Demand) -> None:
        self._places = Places(limit, TooManyWatches)
        self._demand = demand
        self._of_jobs: dict[UUID, set[Watch]] = {}
        self._of_filters: set[Watch] = set()
        self._is_closed = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place for one watch inside the block, and demand the changes. Raises TooManyWatches."""
        with self.place_for_hints(), self._demand.all_changes():
            yield

    @contextmanager
    def place_for_hints(self) -> Iterator[None]:
        """Have a place for a watch that gets hints only inside the block. Raises TooManyWatches."""
        with self._places.one():
            yield

    @contextmanager
    def on(self, wanted: UUID | WatchFilter, since: str = "") -> Iterator[Watch]:
        """A watch that is told from now on what happens to these jobs after the position `since`."""
        watch = Watch(wanted, since)
        if self._is_closed:
            watch.end(End.SERVER_STOPPING)
        group = self._of_jobs.setdefault(wanted, set()) if isinstance(wanted, UUID) else self._of_filters
        group.add(watch)
        try:
            yield watch
        finally:
            group.discard(watch)
            if isinstance(wanted, UUID) and not group:
                del self._of_jobs[wanted]

    def is_about(self, job_id: UUID) -> bool:
        """Whether a watch may be about this job."""
        return bool(self._of_filters) or job_id in self._of_jobs

    def tell(self, job: Job, position: str) -> None:
        told = Told(job, position)
        for watch in self._of_jobs.get(job.id, ()):
            watch.tell(told)
        for watch in self._of_filters:
            if isinstance(watch.wanted, WatchFilter) and watch.wanted.admits(job):
                watch.tell(told)

    def end_all(self, why: End) -> None:
        for watch in (*self._of_filters, *(each for group in self._of_jobs.values() for each in group)):
            watch.end(why)

    def close(self) -> None:
        """The server stops: all watches end, later ones too."""
        self._is_closed = True
        self.end_all(End.SERVER_STOPPING)
