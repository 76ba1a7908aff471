"""Watches: the present state of jobs, and then the state after each of their changes."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from uuid import UUID

from api_server.domain.changes import WatchFilter
from api_server.domain.errors import JobNotFound
from api_server.domain.job import Job
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.missed_states import MissedStates
from api_server.feed.ports import ChangeStream
from api_server.feed.watches import End, Told, Watches
from api_server.ports import JobStore
from api_server.services.filter_watch import FilterWatch
from api_server.services.watch_events import Heartbeat, Started, WatchEvent

READING = 4
"""Watches that read present states at a time: each may need a few times 4 MiB."""


class JobWatches:
    """See the contract's comment on Watch. States have no payload, result and history.

    Watches raise StoreUnavailable when the database cannot be reached.
    """

    def __init__(
        self, store: JobStore, stream: ChangeStream, feed: ChangeFeed, watches: Watches, heartbeat: float
    ) -> None:
        """`heartbeat`: seconds after which a watch that has nothing to tell says so."""
        self._store = store
        self._feed = feed
        self._watches = watches
        self._missed = MissedStates(stream, store)
        self._heartbeat = heartbeat
        self._reading = asyncio.Semaphore(READING)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place for one watch inside the block. Raises TooManyWatches."""
        with self._watches.place():
            yield

    def of_filter(self, wanted: WatchFilter, after: str | None = None) -> AsyncGenerator[WatchEvent, None]:
        """The jobs that `wanted` admits, see FilterWatch. `after`: where an earlier watch was.

        To be called inside `place`. Never ends by itself. Raises ResumeTokenExpired, InvalidArgument.
        """
        parts = self._store, self._feed, self._watches, self._missed
        return FilterWatch(wanted, *parts, self._heartbeat, self._reading).events(after)

    async def of_job(self, job_id: UUID, revision: int = 0) -> AsyncGenerator[WatchEvent, None]:
        """The job's states after `revision`, until it has ended. To be called inside `place`.

        Raises JobNotFound.
        """
        # A change that is made after the read below is told.
        await self._feed.position()
        with self._watches.on(job_id) as watch:
            job = await self._present(job_id)
            self._feed.learn(job)
            if job.revision > revision:
                revision = job.revision
                yield WatchEvent(job, revision)
            yield WatchEvent(Started(), revision)
            while not job.status.is_terminal:
                match await watch.next(self._heartbeat):
                    case Told(told):
                        if told.revision > revision:
                            job, revision = told, told.revision
                            yield WatchEvent(job, revision)
                    case None:
                        yield WatchEvent(Heartbeat(), revision)
                    case why:
                        yield WatchEvent(why, revision)
                        return
            yield WatchEvent(End.JOB_ENDED, revision)

    async def _present(self, job_id: UUID) -> Job:
        job = (await self._store.summaries([job_id])).get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job
