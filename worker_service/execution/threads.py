"""Runs plain handlers in threads.

Each job has a daemon thread of its own. A handler that never returns cannot be stopped, and must not keep the
worker from ending.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from worker_service.execution.invocation import Invocation
from worker_service.execution.invoke import InvocationResult, invoke
from worker_service.execution.outcome import Failed, Reason
from worker_service.handler_api.job import mark_cancelled

NAME = "job-"
"""The names of all job threads start with this."""
T = TypeVar("T")


class Threads:
    """Runs at most `size` handlers at a time. A cancelled job keeps its slot until its handler returns."""

    def __init__(self, size: int) -> None:
        self._slots = asyncio.Semaphore(size)

    async def run(self, invocation: Invocation) -> InvocationResult:
        """Call the handler in a thread.

        When this is cancelled, it stops waiting for the handler and informs the job and the listener.
        """
        await self._slots.acquire()
        function, job, lines = invocation.function, invocation.job, invocation.lines
        on_progress = invocation.listener.on_progress
        try:
            running = start_thread(lambda: invoke(function, job, on_progress, lines), job.id)
        except RuntimeError as error:
            self._slots.release()
            message = f"no thread could be started for the handler: {error}"
            return InvocationResult(Failed(Reason.HANDLER_ERROR, message))
        running.add_done_callback(lambda _: self._slots.release())
        invocation.start_time_limit()
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            mark_cancelled(job)
            invocation.listener.on_left_running(running)
            raise


def start_thread(function: Callable[[], T], job_id: str) -> asyncio.Future[T]:
    """Run `function` for a job in a new daemon thread. The future gets its result or its error.

    Raises RuntimeError if the system allows no more threads.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(settle_future: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            settle_future(value)

    def send(settle_future: Callable[[Any], None], value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
            loop.call_soon_threadsafe(settle, settle_future, value)

    def work() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - the future carries it; otherwise the job would wait forever
            send(future.set_exception, error)
        else:
            send(future.set_result, result)

    threading.Thread(target=work, name=f"{NAME}{job_id}", daemon=True).start()
    return future


def any_thread_left() -> bool:
    """Whether a job's thread still runs."""
    return any(thread.name.startswith(NAME) for thread in threading.enumerate())
