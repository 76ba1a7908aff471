"""Whether somebody needs the changes of other processes, and which of them."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import Enum, auto


class _Need(Enum):
    ENDS = auto()
    ALL_CHANGES = auto()


class Demand:
    """Counts those who need the ends of jobs, and those who need all changes."""

    def __init__(self) -> None:
        self._counts: Counter[_Need] = Counter()
        self._is_there = asyncio.Event()

    @property
    def is_there(self) -> bool:
        return self._is_there.is_set()

    @property
    def is_for_all(self) -> bool:
        return self._counts[_Need.ALL_CHANGES] > 0

    async def comes(self) -> None:
        """Return while there is a demand."""
        await self._is_there.wait()

    def ends(self) -> AbstractContextManager[None]:
        """The ends of jobs are needed inside the block."""
        return self._needed(_Need.ENDS)

    def all_changes(self) -> AbstractContextManager[None]:
        """All changes are needed inside the block."""
        return self._needed(_Need.ALL_CHANGES)

    @contextmanager
    def _needed(self, need: _Need) -> Iterator[None]:
        self._counts[need] += 1
        self._is_there.set()
        try:
            yield
        finally:
            self._counts[need] -= 1
            if not any(self._counts.values()):
                self._is_there.clear()
