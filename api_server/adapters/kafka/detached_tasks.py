"""Calls of aiokafka in tasks of their own.

When Kafka is away aiokafka may keep a cancellation to itself, or let one of its own leak out. Whoever calls it must
neither wait for ever nor be ended by that.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class DetachedTasks:
    """Those that have not ended."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        """`on_error` is told of each error, whether somebody waits for the call or not."""
        self._on_error = on_error
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a call, which goes on until it ends by itself."""
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self, seconds: float) -> None:
        """Until all have ended, `seconds` at most."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._on_error(error)


async def result_of(task: asyncio.Task[T], seconds: float) -> T:
    """Raises TimeoutError if there is none after `seconds`; the task goes on. Raises the task's own error."""
    await asyncio.wait([task], timeout=seconds)
    if not task.done() or task.cancelled():
        raise TimeoutError(f"no answer from Kafka within {seconds:g} s")
    return task.result()
