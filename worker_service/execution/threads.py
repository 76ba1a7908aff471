"""Runs plain handlers in threads.

Daemon threads, one for each job: a handler that never returns cannot be stopped, and must not keep the worker from ending.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from worker_service.execution.invoke import Ended, call
from worker_service.execution.outcome import Failed, Reason
from worker_service.handler_api.job import Job, note_cancelled
from worker_service.handler_api.progress import ProgressSink

NAME = "job-"
"""How the names of the threads begin."""
T = TypeVar("T")


class Threads:
    """At most `size` at a time; a job whose caller has gone away keeps its place until its handler returns."""

    def __init__(self, size: int) -> None:
        self._places = asyncio.Semaphore(size)

    async def call(
        self,
        function: Callable[[Job], Any],
        job: Job,
        say: ProgressSink,
        *,
        begin: Callable[[], None],
        abandon: Callable[[asyncio.Future[Ended]], None],
    ) -> Ended:
        """Run a handler; `begin` is called when it starts. When cancelled, tell `abandon` and the job of it and stop waiting:
        the handler runs on.
        """
        await self._places.acquire()
        try:
            running = start_thread(lambda: call(function, job, say), job.id)
        except RuntimeError as error:
            self._places.release()
            return Ended(Failed(Reason.HANDLER_ERROR, f"no thread could be started for the handler: {error}"))
        running.add_done_callback(lambda _: self._places.release())
        begin()
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            note_cancelled(job)
            abandon(running)
            raise


def start_thread(function: Callable[[], T], job_id: str) -> asyncio.Future[T]:
    """Run `function` for a job in a new daemon thread; the future has its result or its error.

    Raises RuntimeError if the system allows no more threads.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(settle_future: Callable[[Any], None], value: Any) -> None:
        if not future.done():
            settle_future(value)

    def tell(settle_future: Callable[[Any], None], value: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
            loop.call_soon_threadsafe(settle, settle_future, value)

    def work() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - the future carries it on; without it the job would wait for ever
            tell(future.set_exception, error)
        else:
            tell(future.set_result, result)

    threading.Thread(target=work, name=f"{NAME}{job_id}", daemon=True).start()
    return future


def any_thread_left() -> bool:
    """Whether a job's thread still runs."""
    return any(thread.name.startswith(NAME) for thread in threading.enumerate())
