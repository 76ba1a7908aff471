"""Reads what all processes change, while somebody waits for it.

A job may be created through one API server, and its end recorded by another one. So while calls wait or
watch, this process has one change stream open, whatever their number. The ends that this process records
itself are told to waits at once (told_jobs.py).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from api_server.domain.changes import JobChange
from api_server.domain.errors import ResumeTokenExpired, StoreUnavailable
from api_server.domain.job import Job
from api_server.feed.demand import Demand
from api_server.feed.ports import ChangeStream, OpenChangeStream
from api_server.feed.tracker import Tracker
from api_server.feed.waits import Waits
from api_server.feed.watches import End, Watches
from api_server.ports import JobStore

log = structlog.get_logger()

LINGER_SECONDS = 10.0
"""How long the stream stays open when nobody needs it any more: opening it for each of many short waits costs
more.
"""
PAUSE_SECONDS = 1.0
"""Before the next try after an outage."""
OPEN_SECONDS = 5.0
"""How long a new watch waits for the stream."""


class ChangeFeed:
    """`run` opens the stream when the first call needs it, and closes it after the last one."""

    def __init__(
        self,
        stream: ChangeStream,
        store: JobStore,
        demand: Demand,
        waits: Waits,
        watches: Watches,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._store = store
        self._demand = demand
        self._waits = waits
        self._watches = watches
        self._monotonic = monotonic
        self._tracker = Tracker()
        self._read_to: str | None = None
        """Up to here changes were read; None: the stream was closed, or changes were missed."""
        self._told_to = ""
        """Up to here watches were told."""
        self._has_all = asyncio.Event()
        """Set while the stream is open with all changes."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._demand.comes()
            try:
                await self._follow()
                continue
            except StoreUnavailable:
                pass  # The store has logged the outage.
            except ResumeTokenExpired:
                log.warning("changes_missed")
                self._start_over()
            except Exception:
                log.exception("change_stream_failed")
                self._start_over()
            await asyncio.sleep(PAUSE_SECONDS)

    async def position(self) -> str:
        """A watch is told all changes after this position, from the next turn of the event loop on.

        To be awaited while all changes are demanded. Raises StoreUnavailable if the stream cannot be opened.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._has_all.wait()
        except TimeoutError:
            raise StoreUnavailable from None
        return self._read_to or ""

    @property
    def told_to(self) -> str:
        """A watch that has read what it was told knows all changes up to this position."""
        return self._told_to

    def learn(self, job: Job) -> None:
        """A state that a watch has read, so that it need not be read again at the job's next change."""
        self._tracker.learn_if_unknown(job)

    def _start_over(self) -> None:
        """Changes were missed: watches begin anew."""
        self._read_to = None
        self._watches.end_all(End.HISTORY_LOST)

    async def _follow(self) -> None:
        """Tell the changes until nobody needs them. Raises StoreUnavailable, ResumeTokenExpired."""
        needs = Needs(self._demand, self._monotonic)
        while needs.any():
            only_ends = not needs.all()
            async with self._stream.open(self._read_to, only_ends=only_ends) as stream:
                if self._read_to is None or only_ends:
                    self._tracker.clear()
                if self._read_to is None:
                    self._read_to = self._told_to = stream.position
                    # A job may have ended after its wait looked at it, and before the stream was open.
                    self._waits.look()
                if not only_ends:
                    self._has_all.set()
                try:
                    while needs.any() and needs.all() is not only_ends:
                        await self._tell_next(stream)
                finally:
                    self._has_all.clear()
        self._read_to = None

    def _is_needed(self, job_id: UUID) -> bool:
        return self._waits.is_about(job_id) or self._watches.is_about(job_id)

    async def _tell_next(self, stream: OpenChangeStream) -> None:
        before = self._read_to
        changes = await stream.next(self._is_needed)
        self._waits.advance()
        for job_id in changes.ended:
            self._waits.ended(job_id)
        # Set before the next await: a watch that begins meanwhile is about later changes.
        self._read_to = stream.position
        watched = [each for each in changes.changes if self._watches.is_about(each.job_id)]
        try:
            states = await states_after(watched, self._tracker, self._store)
        except BaseException:
            self._read_to = before
            raise
        for job, position in states:
            self._watches.tell(job, position)
        self._told_to = stream.position


class Needs:
    """What is needed now, or was needed a moment ago."""

    def __init__(self, demand: Demand, monotonic: Callable[[], float]) -> None:
        self._demand = demand
        self._monotonic = monotonic
        self._any_until = self._all_until = monotonic()

    def any(self) -> bool:
        """Whether anybody needs changes."""
        if self._demand.is_there:
            self._any_until = self._monotonic() + LINGER_SECONDS
        return self._monotonic() < self._any_until

    def all(self) -> bool:
        """Whether anybody needs all changes, not only the ends of jobs."""
        if self._demand.is_for_all:
            self._all_until = self._monotonic() + LINGER_SECONDS
        return self._monotonic() < self._all_until


async def states_after(
    changes: Sequence[JobChange], tracker: Tracker, store: JobStore
) -> list[tuple[Job, str]]:
    """The states after these changes. Reads jobs that the tracker does not know. Raises StoreUnavailable."""
    if unknown := tracker.unknown(changes):
        found = await store.summaries(unknown)
        tracker.learn(found.values())
    return tracker.states(changes)
