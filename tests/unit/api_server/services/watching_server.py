"""The part of an API server process that watches jobs, on stores in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from api_server.domain.changes import WatchFilter
from api_server.domain.job import Job
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.demand import Demand
from api_server.feed.hint_feed import HintFeed
from api_server.feed.hints import Hints
from api_server.feed.waits import Waits
from api_server.feed.watches import Watches
from api_server.services.job_logs import JobLogs
from api_server.services.job_watches import JobWatches
from api_server.services.watch_events import JobPlace, Logged, WatchEvent
from tests.unit.api_server.feed.feed_fakes import Database, Logs

RARELY = 30.0
"""Seconds between two heartbeats that no test waits for."""


class Server:
    """What watches of one API server process need."""

    def __init__(self, database: Database, logs: Logs | None = None) -> None:
        demand = Demand()
        logs = logs or Logs()
        waits, self.watches = Waits(99, demand), Watches(99, demand)
        store = cast("Any", database)
        self.feed = ChangeFeed(store, store, demand, waits, self.watches)
        self.hints = Hints()
        self.hint_feed = HintFeed(logs.hints, self.hints)
        parts = store, store, self.feed, self.watches, JobLogs(cast("Any", logs)), self.hints
        self.job_watches = JobWatches(*parts, RARELY)

    @asynccontextmanager
    async def watching(
        self, wanted: Any, since: Any = None, heartbeat: float = RARELY
    ) -> AsyncIterator["Reader"]:
        self.job_watches._heartbeat = heartbeat
        running = [asyncio.create_task(each.run()) for each in (self.feed, self.hint_feed)]
        try:
            with self.job_watches.place():
                is_filter = isinstance(wanted, WatchFilter)
                watch = self.job_watches.of_filter if is_filter else self.job_watches.of_job
                async with aclosing(watch(wanted, *([] if since is None else [since]))) as events:
                    yield Reader(events)
        finally:
            for task in running:
                task.cancel()
            await asyncio.wait(running)


class Reader:
    """Reads the events of a watch."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self.resume_from: JobPlace | str | None = None

    async def next(self) -> Any:
        """The content of the next event; a job as its number, revision and status, a log as its numbers."""
        event: WatchEvent = await asyncio.wait_for(anext(self._events), RARELY)
        self.resume_from = event.resume_from
        return shown(event.content)

    async def take(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]


def shown(content: Any) -> Any:
    if isinstance(content, Logged):
        return [entry.number for entry in content.entries]
    if not isinstance(content, Job):
        return content
    assert (content.payload, content.result, content.past) == ({}, None, ())
    return content.id.int, content.revision, content.status
