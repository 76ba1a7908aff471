"""Runs async handlers, and plain handlers too short for a thread, on one event loop in its own thread.

A handler can block this loop for any time, and heartbeats, claims and reports still go on. The loop stays the
same for as long as the process lives: handlers share locks and HTTP sessions, and these belong to the loop
that they were first used in. So a blocked loop is never replaced. The worker ends instead.
"""

import asyncio
import contextvars
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import structlog

from worker_service.execution.async_run import AsyncRun, HandlerFuture
from worker_service.execution.calls_across import CallsInto
from worker_service.execution.invocation import Invocation
from worker_service.execution.invoke import InvocationResult, invoke, invoke_async
from worker_service.execution.running_handler import RunningHandler, log_fields
from worker_service.execution.shared_loop import CURRENT_HANDLER, SharedLoop
from worker_service.execution.threads import NAME
from worker_service.handler_api.job import Job

log = structlog.get_logger()

STOP_SECONDS = 1.0
"""How long cancelled tasks may take to end when the loop ends."""
JOIN_SECONDS = 0.5
RESTART_SECONDS = 0.05
"""Pause before a loop that was stopped runs again."""
MAX_FRAMES = 40
MAX_STACK = 8000
"""Characters of a stack in the log."""


class HandlerLoop:
    """The loop and its thread, which starts at once.

    Create it in the worker's loop. Its methods are called in the worker's loop, if they do not say otherwise.
    """

    def __init__(self) -> None:
        context = contextvars.copy_context()
        self._unsettled: set[AsyncRun] = set()
        self._ended = asyncio.Event()
        self._is_over = False
        """Tells the handlers' thread to run nothing any more."""
        self.is_lost = False
        """Whether the loop was given up: it runs no handler any more, and nobody waits for its handlers."""
        self._answers = CallsInto(asyncio.get_running_loop(), context)
        self._loop = SharedLoop()
        self._loop.share(_on_exit)
        # Copies, because two threads cannot enter the same context at a time.
        self._context = context.copy()
        self._into = CallsInto(self._loop, self._context, own_loop=asyncio.get_running_loop())
        self._thread = threading.Thread(
            target=context.copy().run, args=(self._work,), name=f"{NAME}loop", daemon=True
        )
        self._thread.start()

    def start(self, invocation: Invocation) -> HandlerFuture:
        """Run an async handler."""
        run = AsyncRun(self, invocation)
        if self.is_lost:
            run.future.settle(None)
        else:
            self._unsettled.add(run)
            self.call(self._begin, run)
        return run.future

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Have `function` called soon in the handlers' thread. It must not raise."""
        self._into.call(function, *args)

    def call_soon(self, function: Callable[[], None]) -> None:
        """In the handlers' thread: have `function` called there after the callbacks that wait already."""
        self._loop.call_soon(function)

    def answer(self, function: Callable[..., None], *args: Any) -> None:
        """In the handlers' thread: have `function` called in the worker's loop."""
        self._answers.call(function, *args)

    def enter(self, handler: RunningHandler | None) -> None:
        """In the handlers' thread: what runs and is started from here on belongs to `handler`."""
        CURRENT_HANDLER.set(handler)
        self._loop.steps += 1
        self._loop.handler = handler

    def settle(self, run: AsyncRun, result: InvocationResult | None) -> None:
        """Set the result of `run`, unless it is set already."""
        self._unsettled.discard(run)
        if not run.future.done():
            run.future.settle(result)

    def look(self) -> tuple[int, RunningHandler | None]:
        """How many steps the loop has started, and the handler whose step runs, if it is known.

        Also asks the loop for a step, so that an idle loop differs from a blocked one.
        """
        steps, handler = self._loop.steps, self._loop.handler
        while steps != self._loop.steps:
            steps, handler = self._loop.steps, self._loop.handler
        self.call(_do_nothing)
        return steps, handler

    def stack(self) -> str:
        """The current stack of the handlers' thread, outermost call first; bounded."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - documented in spite of its name
        if frame is None:
            return ""
        return "".join(traceback.format_stack(frame, MAX_FRAMES))[-MAX_STACK:].rstrip()

    def give_up(self) -> None:
        """Stop waiting for all handlers. If the loop runs again after all, it cancels them and ends."""
        self.is_lost = True
        self._end_soon()
        for run in list(self._unsettled):
            self.settle(run, None)

    async def close(self) -> None:
        """Cancel the handlers that still run and end the thread, if it can be ended."""
        self._end_soon()
        try:
            async with asyncio.timeout(STOP_SECONDS + JOIN_SECONDS):
                await self._ended.wait()
        except TimeoutError:
            log.warning("handler_loop_not_ended", stack=self.stack())
        else:
            self._thread.join(JOIN_SECONDS)
        self.give_up()

    def _end_soon(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._loop.cancel_all_at_next_step()
            self.call(self._loop.stop_for_good)

    def _note_end(self) -> None:
        self._ended.set()
        # A handler may have closed the loop while others ran on it.
        self.give_up()

    # All methods from here on run in the handlers' thread.

    def _begin(self, run: AsyncRun) -> None:
        if self._is_over:
            return
        invocation = run.invocation
        run.task = asyncio.Task(
            invoke_async(
                invocation.function, invocation.job, invocation.listener.on_progress, invocation.lines
            ),
            loop=self._loop,
            context=run.context,
        )
        run.task.add_done_callback(lambda task: self._end(run, task), context=self._context)
        run.context = None
        # To wake the worker's loop costs as much as a short job, so do it only where there is a limit to
        # start.
        if invocation.time_limit is not None:
            self.answer(invocation.start_time_limit)

    def _end(self, run: AsyncRun, task: asyncio.Task[InvocationResult]) -> None:
        run.task = None
        if run.error is not None:
            result = _failure(run.error, run.job)
        elif task.cancelled():
            # It was cancelled before it started, and not by the worker, which would ignore the result.
            result = _failure(asyncio.CancelledError(), run.job)
        else:
            result = task.result()
        self.answer(self.settle, run, result)

    def _work(self) -> None:
        loop = self._loop
        while not self._is_over and not loop.is_closed():
            try:
                loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - the handlers go on after any error
                log.warning("handler_loop_failed", problem=type(error).__qualname__)
            if not self._is_over:
                log.warning("handler_loop_stopped")
                time.sleep(RESTART_SECONDS)
        tasks_left = 0
        try:
            tasks_left = _cancel_tasks_and_close(loop)
        except BaseException as error:  # noqa: BLE001 - the worker must hear of the end after any error
            log.warning("handler_loop_not_closed", problem=type(error).__qualname__)
        self.answer(self._note_end)
        if tasks_left:
            log.warning("ended_with_tasks_left", tasks=tasks_left)
            # Without this thread Python would run the tasks once more when it cleans up, perhaps forever.
            threading.Event().wait()


def _cancel_tasks_and_close(loop: SharedLoop) -> int:
    """How many tasks did not end. The loop is closed only if there are none."""
    if loop.is_closed():
        return 0
    executor = loop.unshare()
    tasks = loop.cancel_all()
    left: set[asyncio.Task[Any]] = set()
    if tasks:
        _, left = loop.run_until_complete(asyncio.wait(tasks, timeout=STOP_SECONDS))
    executor.shutdown(wait=False, cancel_futures=True)
    if not left:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    return len(left)


def _on_exit(handler: RunningHandler | None, error: BaseException) -> None:
    fields = {} if handler is None else log_fields(handler.job)
    log.error("exit_in_handler_loop", problem=type(error).__qualname__, **fields)
    if handler is not None:
        handler.exit(error)


def _failure(error: BaseException, job: Job) -> InvocationResult:
    """The result of a handler that raised `error`."""

    def fail(_job: Job) -> None:
        raise error

    return invoke(fail, job)


def _do_nothing() -> None:
    pass
