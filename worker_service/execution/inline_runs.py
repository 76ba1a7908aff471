"""Runs the jobs of plain handlers on the handlers' loop, one after the other.

They have no task each: they are so short that a task would cost more than the job.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from worker_service.claiming.in_flight import Claimed
from worker_service.execution.invoke import InvocationResult
from worker_service.execution.outcome import Outcome
from worker_service.execution.running_handler import RunningHandler

SLICE_SECONDS = 0.005
"""After this time async handlers get their turn, and outcomes go to the worker. One handler may take more."""
R = TypeVar("R")


class Handlers(Protocol):
    """The handlers' loop; HandlerLoop implements it."""

    def call(self, function: Callable[..., None]) -> None: ...
    def call_soon(self, function: Callable[[], None]) -> None: ...
    def answer(self, function: Callable[..., None], *args: object) -> None: ...
    def enter(self, handler: RunningHandler | None) -> None: ...


class _InlineHandler:
    """The plain handler that runs now. It is a RunningHandler."""

    __slots__ = ("_fail", "job")

    def __init__(self, job: Claimed, fail: Callable[[Claimed, Outcome], bool]) -> None:
        self.job = job
        self._fail = fail

    def exit(self, error: BaseException) -> None:
        """Do nothing: a task or callback raised it after the handler had ended."""

    def fail(self, result: InvocationResult) -> bool:
        return self._fail(self.job, result.outcome)


class InlineRuns(Generic[R]):
    """A queue of jobs. `R` is the type of what `run_job` returns."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        run_job: Callable[[Claimed], R],
        end_job: Callable[[Claimed, R], None],
        fail_job: Callable[[Claimed, Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`run_job` runs one job to its end, in the handlers' thread, and must not raise.

        In the worker's loop `end_job` gets what it returned, or `fail_job` gets the outcome of a job that was
        ended by `fail` or `fail_all`.
        """
        self._handlers = handlers
        self._run_job = run_job
        self._end_job = end_job
        self._fail_job = fail_job
        self._clock = clock
        self._queue: deque[Claimed] = deque()
        self._waiting: set[Claimed] = set()
        """The jobs that have not started.

        The thread that removes a job from here decides what happens to it.
        """
        self._unfinished: set[Claimed] = set()
        """The jobs that wait, the one that runs, and those whose end is on its way to the worker's loop."""
        self._is_due = False
        """Whether the handlers' thread was asked to run jobs and has not started yet."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._fault: asyncio.Future[None] | None = None

    def add(self, claimed: Claimed) -> None:
        """Run a job when its turn comes."""
        self._unfinished.add(claimed)
        self._waiting.add(claimed)
        self._idle.clear()
        self._queue.append(claimed)
        if not self._is_due:
            self._is_due = True
            self._handlers.call(self._run_some)

    def remove(self, claimed: Claimed) -> bool:
        """Do not run a job. False if it has started or ended."""
        if not self._stop_waiting(claimed):
            return False
        self._finish(claimed)
        return True

    def remove_all(self) -> list[Claimed]:
        """Remove all jobs that have not started, and return them."""
        return [claimed for claimed in list(self._queue) if self.remove(claimed)]

    def fail(self, claimed: Claimed, outcome: Outcome) -> bool:
        """End a job with this outcome and ignore what its handler still does. False if it has ended."""
        if not self._finish(claimed):
            return False
        self._fail_job(claimed, outcome)
        return True

    def fail_all(self, outcome: Outcome) -> None:
        """End all jobs with this outcome, and ignore what their handlers still do."""
        for claimed in list(self._unfinished):
            self._stop_waiting(claimed)
            self.fail(claimed, outcome)

    async def run(self) -> None:
        """Wait until cancelled. Raises the error if `run_job` or `end_job` raises one."""
        self._fault = asyncio.get_running_loop().create_future()
        await self._fault

    async def idle(self) -> None:
        """Wait until all have ended."""
        await self._idle.wait()

    def _stop_waiting(self, claimed: Claimed) -> bool:
        """Remove a job from those that wait, in any thread. False if another thread has done so."""
        try:
            # One step of the interpreter: no other thread runs in between.
            self._waiting.remove(claimed)
        except KeyError:
            return False
        return True

    def _finish(self, claimed: Claimed) -> bool:
        if claimed not in self._unfinished:
            return False
        self._unfinished.discard(claimed)
        if not self._unfinished:
            self._idle.set()
        return True

    def _end_some(self, ended: list[tuple[Claimed, R]]) -> None:
        try:
            for claimed, result in ended:
                if self._finish(claimed):
                    self._end_job(claimed, result)
        except Exception as error:  # noqa: BLE001 - `run` raises it where it ends the worker
            self._raise_in_run(error)

    def _note_fault(self, claimed: Claimed, error: Exception) -> None:
        self._finish(claimed)
        self._raise_in_run(error)

    def _raise_in_run(self, error: Exception) -> None:
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)

    def _run_some(self) -> None:
        """Runs in the handlers' thread, as a callback and not as a task: a handler could cancel a task."""
        until = self._clock() + SLICE_SECONDS
        ended: list[tuple[Claimed, R]] = []
        # First, so that a job added from here on makes it due again.
        self._is_due = False
        while self._queue and self._clock() < until:
            claimed = self._queue.popleft()
            if not self._stop_waiting(claimed):
                continue
            self._handlers.enter(_InlineHandler(claimed, self.fail))
            try:
                ended.append((claimed, self._run_job(claimed)))
            except Exception as error:  # noqa: BLE001 - `run` raises it
                self._handlers.answer(self._note_fault, claimed, error)
        self._handlers.enter(None)
        if ended:
            self._handlers.answer(self._end_some, ended)
        if self._queue and not self._is_due:
            self._is_due = True
            self._handlers.call_soon(self._run_some)
