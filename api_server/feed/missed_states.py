"""The states that a watch has missed while it was not there."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from api_server.domain.errors import ResumeTokenExpired
from api_server.feed.change_feed import states_after
from api_server.feed.ports import ChangeStream
from api_server.feed.tracker import Tracker
from api_server.feed.watches import Told
from api_server.ports import JobStore

CATCHING_UP = 2
"""Watches that read at a time: each keeps a thread and a connection busy meanwhile."""
MISSED_CHANGES = 100_000
"""A watch that has missed more changes begins anew."""
NEARLY_NONE = 100
"""With fewer changes in an answer, the present is near."""


class MissedStates:
    """Reads the changes since a position with a stream of its own, up to where the shared one takes over."""

    def __init__(self, stream: ChangeStream, store: JobStore) -> None:
        self._stream = stream
        self._store = store
        self._reading = asyncio.Semaphore(CATCHING_UP)

    async def since(self, after: str, take_over: Callable[[], Awaitable[str]]) -> AsyncGenerator[Told, None]:
        """The states after `after`, up to the position that `take_over` returns.

        It is called when the present is near, so that few changes wait meanwhile.
        Raises ResumeTokenExpired, InvalidArgument (`after` is no position), StoreUnavailable.
        """
        tracker, until, count = Tracker(), "", 0
        async with self._stream.open(after) as history:
            while not until or history.position < until:
                async with self._reading:
                    changes = (await history.next()).changes
                    states = await states_after(changes, tracker, self._store)
                count += len(changes)
                if count > MISSED_CHANGES:
                    raise ResumeTokenExpired
                for job, position in states:
                    if not until or position <= until:
                        yield Told(job, position)
                if not until and len(changes) < NEARLY_NONE:
                    until = await take_over()
