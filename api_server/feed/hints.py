"""Hints: something has changed, and the calls that watch it read it themselves.

So nothing is queued for them. A call that is slow reads the latest version when it is ready.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from api_server.feed.ports import Subject
from api_server.feed.watches import End, Watch


class Hints:
    """The watches of one process that want hints."""

    def __init__(self) -> None:
        self._watches: dict[Subject, set[Watch]] = {}
        self._are_wanted = asyncio.Event()
        self._is_closed = False

    @property
    def are_wanted(self) -> bool:
        return self._are_wanted.is_set()

    async def wanted(self) -> None:
        """Return while somebody wants hints."""
        await self._are_wanted.wait()

    @contextmanager
    def on(self, subject: Subject, watch: Watch) -> Iterator[None]:
        """Inside the block the watch is hinted at each change of the subject, and perhaps without one."""
        group = self._watches.setdefault(subject, set())
        group.add(watch)
        self._are_wanted.set()
        if self._is_closed:
            watch.end(End.SERVER_STOPPING)
        try:
            yield
        finally:
            group.discard(watch)
            if not group:
                del self._watches[subject]
            if not self._watches:
                self._are_wanted.clear()

    def give(self, subjects: Iterable[Subject]) -> None:
        """These have changed."""
        for subject in subjects:
            for watch in self._watches.get(subject, ()):
                watch.hint()

    def give_all(self) -> None:
        """Anything may have changed."""
        self.give(self._watches)

    def close(self) -> None:
        """The server stops: all watches end, later ones too."""
        self._is_closed = True
        for group in self._watches.values():
            for watch in group:
                watch.end(End.SERVER_STOPPING)
