"""Calls of aiokafka in tasks of their own.

When Kafka is unavailable, aiokafka may swallow a cancellation, or raise one of its own. Its caller must
neither wait for ever nor be cancelled by it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class DetachedTasks:
    """The calls that have not ended."""

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        """`on_error` gets each error, even when nobody waits for the call."""
        self._on_error = on_error
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin a call. It runs until it ends by itself."""
        task = asyncio.create_task(call)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self, seconds: float) -> None:
        """Wait until all calls have ended, `seconds` at most."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._on_error(error)


async def result_of(task: asyncio.Task[T], seconds: float) -> T:
    """The task's result. Raises its error, or TimeoutError after `seconds`; the task goes on then."""
    await asyncio.wait([task], timeout=seconds)
    if not task.done() or task.cancelled():
        raise TimeoutError(f"no answer from Kafka within {seconds:g} s")
    return task.result()
