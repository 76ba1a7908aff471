"""Calls from one thread into the event loop of another."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any


class CallsInto:
    """Calls made by one thread, run in their order by a loop of another. To wake a loop costs more than a short job does,
    so all calls that wait are run at one wake-up.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        *,
        own_loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`context` is what the calls run in. With the caller's `own_loop`, `loop` is woken when the caller's callback has
        ended: else the other thread wants the interpreter while this one still makes calls.
        """
        self._loop = loop
        self._own_loop = own_loop
        self._context = context
        self._waiting: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._is_awake = False
        """Whether the loop has been told, and has not looked yet."""

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        """Have `function`, which raises nothing, called soon. Does nothing once the loop is closed."""
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
        # Before the look: what comes after it wakes the loop again.
        self._is_awake = False
        for _ in range(len(self._waiting)):
            function, args = self._waiting.popleft()
            function(*args)
