"""Calls from one thread into the event loop of another thread."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any


class CallsInto:
    """Runs one thread's calls in another thread's loop, in their order.

    To wake a loop costs more than a short job does, so one wake-up runs all calls that wait.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        *,
        own_loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """The calls run in `loop` and in `context`.

        With `own_loop`, the loop of the calling thread, `loop` is woken only after the callback that makes
        the calls has ended. Otherwise the other thread would compete for the interpreter while this one still
        makes calls.
        """
        self._loop = loop
        self._own_loop = own_loop
        self._context = context
        self._waiting: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._is_awake = False
        """Whether the loop was woken and has not run the calls yet."""

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Have `function` called soon. It must not raise. Does nothing once the loop is closed."""
        self._waiting.append((function, args))
        if not self._is_awake:
            self._is_awake = True
            if self._own_loop is None:
                self._wake()
            else:
                self._own_loop.call_soon(self._wake)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._run, context=self._context)

    def _run(self) -> None:
        # First, so that a call added from here on wakes the loop again.
        self._is_awake = False
        for _ in range(len(self._waiting)):
            function, args = self._waiting.popleft()
            function(*args)
