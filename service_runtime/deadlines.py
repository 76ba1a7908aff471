"""Ends calls that take too long.

All calls have the same time, so the one that began first is the first whose time is up: one timer serves them
all. A timer for each, as asyncio.timeout sets it, costs a call more than decoding and checking it.
"""

import asyncio
from collections import OrderedDict


class Deadlines:
    """Each call says when it begins and when it has ended."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long a call may take; it is cancelled a tenth later at most."""
        self.seconds = seconds
        self._running: OrderedDict[asyncio.Task[object], float] = OrderedDict()
        """When the time of each is up (the event loop's time), the earliest first."""
        self._over: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[object]) -> None:
        """The task's time begins."""
        loop = task.get_loop()
        self._running[task] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._end_overdue)

    def end(self, task: asyncio.Task[object]) -> bool:
        """The task's time counts no more; whether it was cancelled for this reason alone. That cancellation
        is taken back.
        """
        self._running.pop(task, None)
        if task not in self._over:
            return False
        self._over.remove(task)
        return task.uncancel() == 0

    def _end_overdue(self) -> None:
        self._timer = None
        for task, over_at in list(self._running.items()):
            loop = task.get_loop()
            if over_at > loop.time():
                self._timer = loop.call_later(
                    max(over_at - loop.time(), self.seconds / 10), self._end_overdue
                )
                return
            del self._running[task]
            self._over.add(task)
            task.cancel()
