"""Runs jobs of plain handlers on the handlers' loop, one after the other, without a task for each: they are too short for
that.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from worker_service.claiming.in_flight import Claimed
from worker_service.execution.handler_loop import Guest
from worker_service.execution.invoke import Ended
from worker_service.execution.outcome import Outcome

SLICE_SECONDS = 0.005
"""After so long others get their turn: async handlers, and the worker hears what came of the jobs. One handler may of course
take longer.
"""
R = TypeVar("R")


class Handlers(Protocol):
    """See HandlerLoop."""

    def call(self, function: Callable[..., None]) -> None: ...
    def call_soon(self, function: Callable[[], None]) -> None: ...
    def answer(self, function: Callable[..., None], *args: object) -> None: ...
    def enter(self, guest: Guest | None) -> None: ...


class _InlineGuest:
    """A plain handler that runs."""

    __slots__ = ("_fail", "job")

    def __init__(self, job: Claimed, fail: Callable[[Claimed, Outcome], bool]) -> None:
        self.job = job
        self._fail = fail

    def exit(self, error: BaseException) -> None:
        """Its task or callback raised it when the handler had ended."""

    def fail(self, ended: Ended) -> bool:
        return self._fail(self.job, ended.outcome)


class InlineRuns(Generic[R]):
    """Jobs that wait for their turn, which comes at once unless many are before them."""

    def __init__(
        self,
        handlers: Handlers,
        *,
        run_job: Callable[[Claimed], R],
        end_job: Callable[[Claimed, R], None],
        fail_job: Callable[[Claimed, Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`run_job` runs one job to its end, in the handlers' thread, and raises nothing. `end_job` takes what it returned,
        or `fail_job` the outcome of a job that nobody waited for.
        """
        self._handlers = handlers
        self._run_job = run_job
        self._end_job = end_job
        self._fail_job = fail_job
        self._clock = clock
        self._line: deque[Claimed] = deque()
        self._waiting: set[Claimed] = set()
        """Those of the line that have not begun. Whichever thread removes a job from here decides what becomes of it."""
        self._unfinished: set[Claimed] = set()
        """Those that wait, the one that runs, and those whose end the worker has not heard of."""
        self._is_due = False
        """Whether the handlers' thread has been told to run some."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._fault: asyncio.Future[None] | None = None

    def add(self, claimed: Claimed) -> None:
        """Run a job soon."""
        self._unfinished.add(claimed)
        self._waiting.add(claimed)
        self._idle.clear()
        self._line.append(claimed)
        if not self._is_due:
            self._is_due = True
            self._handlers.call(self._run_some)

    def remove(self, claimed: Claimed) -> bool:
        """Do not run a job; whether it still waited."""
        if not self._take(claimed):
            return False
        self._finish(claimed)
        return True

    def remove_all(self) -> list[Claimed]:
        """Run none of those that wait; these are they."""
        return [claimed for claimed in list(self._line) if self.remove(claimed)]

    def fail(self, claimed: Claimed, outcome: Outcome) -> bool:
        """Wait no more for the end of a job that runs, which has this outcome; whether that was not known yet."""
        if not self._finish(claimed):
            return False
        self._fail_job(claimed, outcome)
        return True

    def fail_all(self, outcome: Outcome) -> None:
        """Wait for none of them any more: all have this outcome."""
        for claimed in list(self._unfinished):
            self._take(claimed)
            self.fail(claimed, outcome)

    async def run(self) -> None:
        """Until cancelled. Raises what `run_job` or `end_job` raised against its word."""
        self._fault = asyncio.get_running_loop().create_future()
        await self._fault

    async def idle(self) -> None:
        """Wait until all have ended."""
        await self._idle.wait()

    def _take(self, claimed: Claimed) -> bool:
        """Decide what becomes of a job that waits, in any thread; whether no other thread has done so."""
        try:
            # One step, during which no other thread runs.
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
        except Exception as error:  # noqa: BLE001 - `run` raises it where it is heard
            self._tell(error)

    def _note_fault(self, claimed: Claimed, error: Exception) -> None:
        self._finish(claimed)
        self._tell(error)

    def _tell(self, error: Exception) -> None:
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)

    def _run_some(self) -> None:
        """In the handlers' thread: a callback, since where no task runs there is none that a handler could cancel."""
        until = self._clock() + SLICE_SECONDS
        ended: list[tuple[Claimed, R]] = []
        # Before the look: what is added after it makes it due again.
        self._is_due = False
        while self._line and self._clock() < until:
            claimed = self._line.popleft()
            if not self._take(claimed):
                continue
            self._handlers.enter(_InlineGuest(claimed, self.fail))
            try:
                ended.append((claimed, self._run_job(claimed)))
            except Exception as error:  # noqa: BLE001 - as above
                self._handlers.answer(self._note_fault, claimed, error)
        self._handlers.enter(None)
        if ended:
            self._handlers.answer(self._end_some, ended)
        if self._line and not self._is_due:
            self._is_due = True
            self._handlers.call_soon(self._run_some)
