"""One watch of all jobs that a filter admits."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from uuid import UUID

from api_server.domain.changes import WatchFilter, summary
from api_server.domain.listing import PageRequest, View
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.missed_states import MissedStates
from api_server.feed.watches import End, Hint, Told, Watch, Watches
from api_server.ports import JobStore
from api_server.services.watch_events import Heartbeat, Started, WatchEvent

PRESENT_JOBS = 1000
"""How many jobs a watch shows at its begin."""


class FilterWatch:
    """First the present states, or those that were missed since a position; then each state that follows."""

    def __init__(
        self,
        wanted: WatchFilter,
        store: JobStore,
        feed: ChangeFeed,
        watches: Watches,
        missed: MissedStates,
        heartbeat: float,
        reading: asyncio.Semaphore,
    ) -> None:
        """`heartbeat`: seconds. `reading`: held while present states are read."""
        self._wanted = wanted
        self._store = store
        self._feed = feed
        self._watches = watches
        self._missed = missed
        self._heartbeat = heartbeat
        self._reading = reading
        self._watch = Watch(wanted)
        self._position = ""
        self._is_truncated = False
        self._revisions: dict[UUID, int] = {}
        """Of the jobs that were told at the begin: a change that comes later may be older."""

    async def events(self, after: str | None) -> AsyncGenerator[WatchEvent, None]:
        """`after`: where an earlier watch was; None: there was none."""
        with ExitStack() as registered:
            begin = self._present(registered) if after is None else self._since(after, registered)
            async with aclosing(begin):
                async for event in begin:
                    yield event
            yield WatchEvent(Started(self._is_truncated), self._position)
            while True:
                news = await self._next()
                if news is not None:
                    yield news
                    if isinstance(news.content, End):
                        return

    async def _present(self, registered: ExitStack) -> AsyncGenerator[WatchEvent, None]:
        await self._register(registered)
        async with self._reading:
            page = await self._store.page(self._wanted.for_list(), PageRequest(PRESENT_JOBS, view=View.BASIC))
            jobs = list(map(summary, page.jobs))
        self._is_truncated = page.next_after is not None
        for job in jobs:
            self._feed.learn(job)
            self._revisions[job.id] = job.revision
            yield WatchEvent(job, None)

    async def _since(self, after: str, registered: ExitStack) -> AsyncGenerator[WatchEvent, None]:
        missed = self._missed.since(after, lambda: self._register(registered))
        async with aclosing(missed):
            async for told in missed:
                if self._wanted.admits(told.job):
                    yield WatchEvent(told.job, told.position)

    async def _register(self, registered: ExitStack) -> str:
        """From now on the watch is told what happens. Returns the position after which it is."""
        self._position = await self._feed.position()
        self._watch = registered.enter_context(self._watches.on(self._wanted, self._position))
        return self._position

    async def _next(self) -> WatchEvent | None:
        """What comes next; None: a change that is not news."""
        match await self._watch.next(self._heartbeat):
            case Told(job, position):
                self._position = position
                if job.revision <= self._revisions.pop(job.id, 0):
                    return None
                return WatchEvent(job, position)
            case Hint():
                return None  # It wants none.
            case None:
                self._position = max(self._position, self._feed.told_to)
                return WatchEvent(Heartbeat(), self._position)
            case End.HISTORY_LOST:
                return WatchEvent(End.HISTORY_LOST, None)
            case why:
                return WatchEvent(why, self._position)
