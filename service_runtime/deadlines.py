"""Cancels calls that take too long.

All calls get the same time, so they run out of it in the order in which they began, and one timer is enough.
A timer for each call, as asyncio.timeout sets it, costs more than decoding and checking the call.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_timed_by: ContextVar["Deadlines | None"] = ContextVar("timed_by", default=None)
"""What times the present call."""


class Deadlines:
    """Each call reports its `begin` and its `end`."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: how long a call may take. It is cancelled up to a tenth later."""
        self.seconds = seconds
        self._running: OrderedDict[asyncio.Task[object], float] = OrderedDict()
        """The deadline of each task (the event loop's time), the earliest first."""
        self._cancelled: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, task: asyncio.Task[object]) -> None:
        """The task's time starts."""
        _timed_by.set(self)
        loop = task.get_loop()
        self._running[task] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_later(self.seconds, self._cancel_overdue)

    def times(self, task: asyncio.Task[object]) -> bool:
        """Whether the task's time runs: it has begun, and has neither ended nor run out."""
        return task in self._running

    def end(self, task: asyncio.Task[object]) -> bool:
        """Stop timing the task. True if its deadline cancelled it, and nothing else did.

        The deadline's cancellation is undone (`Task.uncancel`).
        """
        self._running.pop(task, None)
        if task not in self._cancelled:
            return False
        self._cancelled.remove(task)
        return task.uncancel() == 0

    def _cancel_overdue(self) -> None:
        self._timer = None
        for task, deadline in list(self._running.items()):
            loop = task.get_loop()
            if deadline > loop.time():
                seconds = max(deadline - loop.time(), self.seconds / 10)
                self._timer = loop.call_later(seconds, self._cancel_overdue)
                return
            del self._running[task]
            self._cancelled.add(task)
            task.cancel()


@contextmanager
def untimed() -> Iterator[None]:
    """A call may take as long as it wants inside the block. After the block its whole time starts again.

    For a call that waits because its caller wants that. The block limits its time itself.
    """
    task, deadlines = asyncio.current_task(), _timed_by.get()
    if task is None or deadlines is None or not deadlines.times(task):
        yield
        return
    deadlines.end(task)
    try:
        yield
    finally:
        deadlines.begin(task)
