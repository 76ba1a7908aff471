"""Whether somebody needs the changes of other processes, and which of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Demand:
    """Counts those who need the ends of jobs, and those who need all changes."""

    def __init__(self) -> None:
        self._for_ends = 0
        self._for_all = 0
        self._is_there = asyncio.Event()

    @property
    def is_there(self) -> bool:
        return self._is_there.is_set()

    @property
    def is_for_all(self) -> bool:
        return self._for_all > 0

    async def comes(self) -> None:
        """Return while there is a demand."""
        await self._is_there.wait()

    @contextmanager
    def ends(self) -> Iterator[None]:
        """The ends of jobs are needed inside the block."""
        self._for_ends += 1
        self._update()
        try:
            yield
        finally:
            self._for_ends -= 1
            self._update()

    @contextmanager
    def all_changes(self) -> Iterator[None]:
        """All changes are needed inside the block."""
        self._for_all += 1
        self._update()
        try:
            yield
        finally:
            self._for_all -= 1
            self._update()

    def _update(self) -> None:
        if self._for_ends or self._for_all:
            self._is_there.set()
        else:
            self._is_there.clear()
