"""One run of an async handler on the handlers' event loop."""

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, Protocol

from worker_service.execution.invocation import Invocation
from worker_service.execution.invoke import InvocationResult
from worker_service.execution.shared_loop import CURRENT_HANDLER
from worker_service.handler_api.job import Job


class RunOwner(Protocol):
    """The loop that the handler runs on; HandlerLoop implements it."""

    def call(self, function: Callable[[], None]) -> None:
        """Have `function` called soon in the handlers' thread."""

    def settle(self, run: "AsyncRun", result: InvocationResult | None) -> None:
        """Set the result of `run`, unless it is set already."""


class HandlerFuture(asyncio.Future[InvocationResult | None]):
    """The result of an async handler. None if the handler was given up.

    `cancel` cancels the handler, as with the future of asyncio.gather. The handler may take time to stop, and
    may still return a result.
    """

    def __init__(self, cancel_handler: Callable[[], None]) -> None:
        super().__init__()
        self._cancel_handler = cancel_handler

    def settle(self, result: InvocationResult | None) -> None:
        """Set the result. From now on `cancel` does nothing."""
        # Break the reference cycle with the run, so that neither waits for the garbage collector.
        self._cancel_handler = _do_nothing
        self.set_result(result)

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ARG002 - asyncio's own signature
        if self.done():
            return False
        self._cancel_handler()
        return True


class AsyncRun:
    """An async handler that runs or will soon run. It is a RunningHandler."""

    __slots__ = ("context", "error", "future", "invocation", "owner", "task")

    def __init__(self, owner: RunOwner, invocation: Invocation) -> None:
        self.owner = owner
        self.invocation = invocation
        self.future = HandlerFuture(self.cancel)
        self.task: asyncio.Task[InvocationResult] | None = None
        """Only the handlers' thread reads and sets it."""
        self.error: BaseException | None = None
        """The first SystemExit or KeyboardInterrupt of one of its tasks or callbacks."""
        self.context: contextvars.Context | None = contextvars.copy_context()
        """Dropped when the handler starts. Else this run and the context would refer to each other, and only
        the garbage collector could free them.
        """
        self.context.run(CURRENT_HANDLER.set, self)

    @property
    def job(self) -> Job:
        return self.invocation.job

    def cancel(self) -> None:
        self.owner.call(self.cancel_task)

    def cancel_task(self) -> None:
        """Cancel the handler's task. Must be called in the handlers' thread."""
        if self.task is not None:
            self.task.cancel()

    def exit(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
        self.cancel_task()

    def fail(self, result: InvocationResult) -> bool:
        if self.future.done():
            return False
        self.owner.settle(self, result)
        self.cancel()
        return True


def _do_nothing() -> None:
    pass
