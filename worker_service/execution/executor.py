"""Runs one job in the place that its handler declares, and returns the outcome."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from worker_service.execution.child import ProcessDied
from worker_service.execution.handler_log import trace_line
from worker_service.execution.handler_loop import HandlerLoop
from worker_service.execution.invocation import IgnoreRun, Invocation, RunListener
from worker_service.execution.invoke import InvocationResult, invoke
from worker_service.execution.job_lines import AttemptLines, JobLines
from worker_service.execution.loop_watch import watch_loop
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.execution.processes import Processes
from worker_service.execution.threads import Threads
from worker_service.execution.time_limit import TimeLimit, TimeUp
from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.job import Job

log = structlog.get_logger()

STOP_SECONDS = 1.0
"""How long a cancelled handler may take to stop. After that it is left running."""
IGNORE_RUN = IgnoreRun()


def prepare_nothing() -> None:
    """For processes that need no preparation."""


class Executor:
    """No handler can affect another job, neither by SystemExit nor by the death of its process."""

    def __init__(
        self,
        *,
        threads: int,
        processes: int,
        process_jobs: int | None = None,
        prepare_process: Callable[[], None] = prepare_nothing,
    ) -> None:
        """Start up to `threads` threads and `processes` processes, each when it is first needed.

        If `process_jobs` is given, a process is renewed after this many jobs. `prepare_process` is run in
        each new process, for example to set up logging, and must be picklable.
        """
        self.lines = JobLines()
        """What handlers log."""
        self._threads = Threads(threads)
        self._processes = Processes(processes, prepare_process, process_jobs)
        self._handlers: HandlerLoop | None = None
        self._running: set[asyncio.Future[InvocationResult | None]] = set()
        self._closed = False

    @property
    def handlers(self) -> HandlerLoop:
        """The loop for async handlers and for plain handlers of the loop. It is always the same one."""
        if self._handlers is None:
            self._handlers = HandlerLoop()
        return self._handlers

    async def run(
        self,
        spec: HandlerSpec,
        job: Job,
        *,
        seconds: float | None = None,
        listener: RunListener = IGNORE_RUN,
    ) -> Outcome:
        """Run `job` to its end, for `seconds` at most. Raises CancelledError only.

        The outcome is Interrupted if the executor was closed first, or if the handlers' loop was lost.

        If this call is cancelled or the time is up, an async handler is cancelled and the process of a
        handler is killed. A thread cannot be stopped, and an async handler may ignore its cancellation. Such
        a handler runs on, `listener` is informed, and its result is ignored.
        """
        if self._closed:
            return Interrupted()
        lines = self.lines.open(job.id, job.attempt)
        try:
            return await self._outcome(
                spec, Invocation(_function(spec), job, listener, lines, _limit(seconds))
            )
        finally:
            lines.close()

    async def _outcome(self, spec: HandlerSpec, invocation: Invocation) -> Outcome:
        try:
            result = await self._run(spec, invocation)
        except ProcessDied as error:
            message = f"the process that ran the handler died: {error}"
            result = InvocationResult(Failed(Reason.WORKER_PROCESS_DIED, message))
        except TimeUp as error:
            result = InvocationResult(Failed(Reason.TIMEOUT, str(error)))
        except asyncio.CancelledError:
            if self._closed and not _caller_is_cancelled():
                return Interrupted()
            raise
        if result is None:
            return Interrupted()
        if isinstance(result.outcome, Succeeded):
            return result.outcome
        # A handler that was stopped may fail because of that. It counts as interrupted all the same.
        if _caller_is_cancelled():
            raise asyncio.CancelledError
        if self._closed:
            return Interrupted()
        _log_failure(invocation.job, result.outcome, result.trace, invocation.lines)
        return result.outcome

    def run_inline(self, spec: HandlerSpec, job: Job, *, seconds: float | None = None) -> Outcome:
        """Run a plain handler of the loop, which cannot be stopped. Must be called in the handlers' thread.
        Raises nothing.

        The job fails with TIMEOUT if the handler took more than `seconds`.
        """
        if self._closed:
            return Interrupted()
        lines = self.lines.open(job.id, job.attempt)
        started = time.monotonic()
        result = invoke(spec.call, job, lines=lines)
        if seconds is not None and time.monotonic() - started > seconds:
            result = InvocationResult(Failed(Reason.TIMEOUT, str(TimeUp(seconds))))
        if not isinstance(result.outcome, Succeeded):
            _log_failure(job, result.outcome, result.trace, lines)
        lines.close()
        return result.outcome

    async def watch(self, limit: float) -> None:
        """Fail a handler that blocks the loop for `limit` seconds, until cancelled. Raises LoopStuck."""
        await watch_loop(self.handlers, limit)

    async def close(self) -> None:
        """Interrupt the running jobs and end the processes. Threads run on as daemons."""
        self._closed = True
        for running in self._running:
            running.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)
        if self._handlers is not None:
            await self._handlers.close()
        self._processes.close()

    async def _run(self, spec: HandlerSpec, invocation: Invocation) -> InvocationResult | None:
        """None if the loop was lost. Raises TimeUp."""
        limit = invocation.time_limit
        running = self._start(spec, invocation)
        # `close` cancels it.
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        if limit is None:
            return await running
        try:
            await limit.wait(running)
        except asyncio.CancelledError:
            running.cancel()
            return await running
        if running.done():
            if spec.run_in == "loop" and limit.is_exceeded:
                # The timer was late because the worker or the handlers' loop was busy.
                raise TimeUp(limit.seconds)
            return running.result()
        running.cancel()
        try:
            await asyncio.wait([running], timeout=STOP_SECONDS)
        finally:
            if not running.done():
                invocation.listener.on_left_running(running)
        raise TimeUp(limit.seconds)

    def _start(self, spec: HandlerSpec, invocation: Invocation) -> asyncio.Future[InvocationResult | None]:
        """Start the handler. To cancel the future is to stop the handler.

        It is a future of its own: a handler may cancel its own task, and that must not cancel this one.
        """
        match spec.run_in:
            case "loop":
                return self.handlers.start(invocation)
            case "thread":
                run: Coroutine[Any, Any, InvocationResult | None] = self._threads.run(invocation)
            case "process":
                run = self._processes.run(invocation)
        return asyncio.create_task(run)


def _function(spec: HandlerSpec) -> Callable[[Job], Any]:
    if spec.run_in == "process":
        # It is sent by its name.
        return spec.function
    return _as_async(spec.call) if spec.is_inline else spec.call


def _limit(seconds: float | None) -> TimeLimit | None:
    return None if seconds is None else TimeLimit(seconds)


def _as_async(function: Callable[[Job], Any]) -> Callable[[Job], Any]:
    async def call(job: Job) -> Any:
        return function(job)

    return call


def _caller_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _log_failure(job: Job, failed: Failed, trace: str, lines: AttemptLines) -> None:
    fields = {
        "job_id": job.id,
        "type": job.type,
        "attempt": job.attempt,
        "reason": str(failed.reason),
        "message": failed.message,
    }
    if trace:
        lines.add(trace_line(trace))
        log.error("handler_failed", **fields, exception=trace)
    else:
        log.warning("job_failed", **fields)
