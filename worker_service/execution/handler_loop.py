"""Runs async handlers, and plain ones that are too short for a thread, on one event loop in a thread of its own.

So nothing that a handler does to its loop reaches the worker: however long it blocks it, heartbeats, claims and reports go
on. The loop is one and the same for as long as the process lives, since handlers share locks and HTTP sessions, which
belong to the loop that they were first used in. A loop that does not go on is therefore never replaced: the worker ends.
"""

import asyncio
import contextvars
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Protocol

import structlog

from worker_service.execution.calls_across import CallsInto
from worker_service.execution.invoke import Ended, call, invoke_async
from worker_service.execution.shared_loop import GUEST, SharedLoop
from worker_service.execution.threads import NAME
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import ProgressSink

log = structlog.get_logger()

STOP_SECONDS = 1.0
"""How long tasks that do not want to end are waited for when the loop ends."""
JOIN_SECONDS = 0.5
RESTART_SECONDS = 0.05
"""Pause before a loop that was stopped runs on."""
MOST_FRAMES = 40
MOST_STACK = 8000
"""Characters of a stack in the log."""


class HasToken(Protocol):
    """A job, however much is known of it."""

    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def attempt(self) -> int: ...


class Guest(Protocol):
    """A handler on the loop."""

    @property
    def job(self) -> HasToken: ...

    def exit(self, error: BaseException) -> None:
        """One of its tasks or callbacks raised SystemExit or KeyboardInterrupt. Called in the handlers' thread."""

    def fail(self, ended: Ended) -> bool:
        """End its job like this, whatever the handler still does; whether it had not ended. Called in the worker's loop."""


class Handled(asyncio.Future[Ended | None]):
    """What becomes of an async handler; None: it is not to be known any more.

    As with the future of asyncio.gather, to cancel it is to cancel the handler, which may take its time, and still return.
    """

    def __init__(self, cancel_handler: Callable[[], None]) -> None:
        super().__init__()
        self._cancel_handler = cancel_handler

    def settle(self, ended: Ended | None) -> None:
        """Nothing is to be cancelled any more."""
        self._cancel_handler = _do_nothing
        self.set_result(ended)

    def cancel(self, msg: Any | None = None) -> bool:  # noqa: ARG002 - asyncio's own signature
        if self.done():
            return False
        self._cancel_handler()
        return True


class _Run:
    """An async handler that runs, or is about to."""

    __slots__ = ("begin", "context", "error", "function", "handled", "job", "owner", "say", "task")

    def __init__(
        self,
        owner: "HandlerLoop",
        function: Callable[[Job], Any],
        job: Job,
        say: ProgressSink,
        begin: Callable[[], None] | None,
    ) -> None:
        self.owner = owner
        self.function = function
        self.job = job
        self.say = say
        self.begin = begin
        self.handled = Handled(self.cancel)
        self.task: asyncio.Task[Ended] | None = None
        """Set, and looked at, in the handlers' thread."""
        self.error: BaseException | None = None
        """What would have ended the process, had it been the handler's own."""
        self.context: contextvars.Context | None = contextvars.copy_context()
        """Until it begins. It has the run in it: kept for longer, only the garbage collector would free either."""
        self.context.run(GUEST.set, self)

    def cancel(self) -> None:
        self.owner.call(self.cancel_task)

    def cancel_task(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def exit(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error
        self.cancel_task()

    def fail(self, ended: Ended) -> bool:
        if self.handled.done():
            return False
        self.owner.settle(self, ended)
        self.cancel()
        return True


class HandlerLoop:
    """The loop and its thread, which starts at once. To be made in the worker's loop, where its methods are called if they
    do not say otherwise.
    """

    def __init__(self) -> None:
        context = contextvars.copy_context()
        self._unsettled: set[_Run] = set()
        self._ended = asyncio.Event()
        self._is_over = False
        """For the handlers' thread: nothing is to be run any more."""
        self.is_lost = False
        """Whether no handler can be run any more, and nobody waits for those that were running."""
        self._answers = CallsInto(asyncio.get_running_loop(), context)
        self._loop = SharedLoop()
        self._loop.share(_on_exit)
        # Copies: no context can be entered by two threads at a time.
        self._context = context.copy()
        self._into = CallsInto(self._loop, self._context, own_loop=asyncio.get_running_loop())
        self._thread = threading.Thread(
            target=context.copy().run, args=(self._work,), name=f"{NAME}loop", daemon=True
        )
        self._thread.start()

    def start(
        self,
        function: Callable[[Job], Any],
        job: Job,
        say: ProgressSink,
        begin: Callable[[], None] | None = None,
    ) -> Handled:
        """Run an async handler; `begin` is called once it runs."""
        run = _Run(self, function, job, say, begin)
        if self.is_lost:
            run.handled.settle(None)
        else:
            self._unsettled.add(run)
            self.call(self._begin, run)
        return run.handled

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Have a function of the worker's, which raises nothing, called soon in the handlers' thread."""
        self._into.call(function, *args)

    def call_soon(self, function: Callable[[], None]) -> None:
        """In the handlers' thread: have a function called there when others have had their turn."""
        self._loop.call_soon(function)

    def answer(self, function: Callable[..., None], *args: Any) -> None:
        """In the handlers' thread: have a function called in the worker's loop."""
        self._answers.call(function, *args)

    def enter(self, guest: Guest | None) -> None:
        """In the handlers' thread: what runs now, and what it leaves to run later, is this guest's."""
        GUEST.set(guest)
        self._loop.steps += 1
        self._loop.guest = guest

    def settle(self, run: _Run, ended: Ended | None) -> None:
        """Tell what became of a handler, unless something else was told before."""
        self._unsettled.discard(run)
        if not run.handled.done():
            run.handled.settle(ended)

    def look(self) -> tuple[int, Guest | None]:
        """How many steps the loop has made, and whose step is under way, if that is known. It makes one soon, if it can."""
        steps, guest = self._loop.steps, self._loop.guest
        while steps != self._loop.steps:
            steps, guest = self._loop.steps, self._loop.guest
        self.call(_do_nothing)
        return steps, guest

    def stack(self) -> str:
        """What the loop is doing, from the outermost call to the innermost; bounded."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - documented in spite of its name
        if frame is None:
            return ""
        return "".join(traceback.format_stack(frame, MOST_FRAMES))[-MOST_STACK:].rstrip()

    def give_up(self) -> None:
        """Wait for no handler any more. When the loop goes on after all, it cancels them, and ends."""
        self.is_lost = True
        self._end_soon()
        for run in list(self._unsettled):
            self.settle(run, None)

    async def close(self) -> None:
        """Cancel what still runs, and end the thread if it lets itself be ended."""
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
        # Also for a loop that a handler has closed.
        self.give_up()

    # From here on: in the handlers' thread.

    def _begin(self, run: _Run) -> None:
        if self._is_over:
            return
        run.task = asyncio.Task(
            invoke_async(run.function, run.job, run.say), loop=self._loop, context=run.context
        )
        run.task.add_done_callback(lambda task: self._end(run, task), context=self._context)
        run.context = None
        if run.begin is not None:
            self.answer(run.begin)

    def _end(self, run: _Run, task: asyncio.Task[Ended]) -> None:
        run.task = None
        if run.error is not None:
            ended = _failure(run.error, run.job)
        elif task.cancelled():
            # Before it had begun, and not by the worker, which would not want to know.
            ended = _failure(asyncio.CancelledError(), run.job)
        else:
            ended = task.result()
        self.answer(self.settle, run, ended)

    def _work(self) -> None:
        loop = self._loop
        while not self._is_over and not loop.is_closed():
            try:
                loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - whatever it was, the handlers go on
                log.warning("handler_loop_failed", problem=type(error).__qualname__)
            if not self._is_over:
                log.warning("handler_loop_stopped")
                time.sleep(RESTART_SECONDS)
        tasks_left = 0
        try:
            tasks_left = _tidy_up(loop)
        except BaseException as error:  # noqa: BLE001 - as above
            log.warning("handler_loop_not_closed", problem=type(error).__qualname__)
        self.answer(self._note_end)
        if tasks_left:
            log.warning("ended_with_tasks_left", tasks=tasks_left)
            # Python would run them once more when it tidies up, perhaps for ever. It does not while this thread is left.
            threading.Event().wait()


def _tidy_up(loop: SharedLoop) -> int:
    """Cancel all tasks, and close the loop; how many tasks do not end."""
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


def _on_exit(guest: Guest | None, error: BaseException) -> None:
    words = {} if guest is None else words_of(guest.job)
    log.error("exit_in_handler_loop", problem=type(error).__qualname__, **words)
    if guest is not None:
        guest.exit(error)


def words_of(job: HasToken) -> dict[str, Any]:
    """A job as log lines name it."""
    return {"job_id": job.id, "type": job.type, "attempt": job.attempt}


def _failure(error: BaseException, job: Job) -> Ended:
    """The end of a handler that raised this."""

    def fail(_job: Job) -> None:
        raise error

    return call(fail, job)


def _do_nothing() -> None:
    pass
