"""Watches: the present state of jobs, and then the state after each of their changes."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from uuid import UUID

from api_server.domain.changes import WatchFilter
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.hints import Hints
from api_server.feed.missed_states import MissedStates
from api_server.feed.ports import ChangeStream
from api_server.feed.watches import Watches
from api_server.ports import JobStore
from api_server.services.filter_watch import FilterWatch
from api_server.services.job_logs import JobLogs
from api_server.services.job_watch import OneJobWatch
from api_server.services.watch_events import BEGIN, JobPlace, WatchEvent

READING = 4
"""Watches that read present states at a time: each may need a few times 4 MiB."""


class JobWatches:
    """See the contract's comment on Watch. States have no payload, result and history.

    Watches raise StoreUnavailable when the database cannot be reached.
    """

    def __init__(
        self,
        store: JobStore,
        stream: ChangeStream,
        feed: ChangeFeed,
        watches: Watches,
        logs: JobLogs,
        hints: Hints,
        heartbeat: float,
    ) -> None:
        """`hints`: about logs. `heartbeat`: seconds after which a watch that has nothing to tell says so."""
        self._store = store
        self._feed = feed
        self._watches = watches
        self._logs = logs
        self._hints = hints
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

    def of_job(self, job_id: UUID, after: JobPlace = BEGIN) -> AsyncGenerator[WatchEvent, None]:
        """The job's states after a place, and its log if `after` has a place in it, see OneJobWatch.

        To be called inside `place`. Ends when the job has ended. Raises JobNotFound.
        """
        parts = self._store, self._feed, self._watches, self._logs, self._hints
        return OneJobWatch(job_id, *parts, self._heartbeat).events(after)
