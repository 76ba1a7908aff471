"""Runs one job by its handler's declared way, and tells what became of it."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from worker_service.execution.child import ProcessDied
from worker_service.execution.handler_loop import HandlerLoop
from worker_service.execution.invoke import Ended, call
from worker_service.execution.loop_watch import watch_loop
from worker_service.execution.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.execution.processes import Processes
from worker_service.execution.threads import Threads
from worker_service.execution.time_limit import TimeLimit, TimeUp, begin_nothing
from worker_service.handler_api.handler import HandlerSpec
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import ProgressSink, ignore_progress

log = structlog.get_logger()

STOP_SECONDS = 1.0
"""How long handlers that do not want to stop are waited for; by then they have been told so once."""

Abandon = Callable[[asyncio.Future[Any]], None]
"""Takes the future of a handler that goes on though nobody waits for its outcome."""


def prepare_nothing() -> None:
    """For processes that need no setting up."""


def abandon_nothing(_going_on: asyncio.Future[Any]) -> None:
    """For callers who do not mind handlers that go on."""


class Executor:
    """Nothing that a handler does, SystemExit and the death of its process included, touches another job."""

    def __init__(
        self,
        *,
        threads: int,
        processes: int,
        process_jobs: int | None = None,
        prepare_process: Callable[[], None] = prepare_nothing,
    ) -> None:
        """`threads` and `processes` are how many there may be; neither exists before it is needed.

        A process is renewed after `process_jobs` jobs, if that is given. `prepare_process` is run in each new process
        (to set up logging, say) and must be picklable.
        """
        self._threads = Threads(threads)
        self._processes = Processes(processes, prepare_process, process_jobs)
        self._handlers: HandlerLoop | None = None
        self._running: set[asyncio.Future[Ended | None]] = set()
        self._closed = False

    @property
    def handlers(self) -> HandlerLoop:
        """Where async handlers run, and plain ones of the loop; the same one until the end."""
        if self._handlers is None:
            self._handlers = HandlerLoop()
        return self._handlers

    async def run(
        self,
        spec: HandlerSpec,
        job: Job,
        *,
        seconds: float | None = None,
        say: ProgressSink = ignore_progress,
        abandon: Abandon = abandon_nothing,
    ) -> Outcome:
        """Run `job` to its end, which comes after `seconds` at the latest. Interrupted if the executor was closed first, or
        the handlers' loop was lost.

        Cancelling this call, or the end of its time, cancels an async handler and kills the process of one that runs in a
        process. A thread cannot be stopped, nor need an async handler heed its cancellation: `abandon` is told of one that
        runs on, and nobody hears of its result. `say` takes the handler's words of its progress. Raises CancelledError
        only.
        """
        if self._closed:
            return Interrupted()
        try:
            ended = await self._run(spec, job, seconds, say, abandon)
        except ProcessDied as error:
            ended = Ended(
                Failed(Reason.WORKER_PROCESS_DIED, f"the process that ran the handler died: {error}")
            )
        except TimeUp as error:
            ended = Ended(Failed(Reason.TIMEOUT, str(error)))
        except asyncio.CancelledError:
            if self._closed and not _caller_is_cancelled():
                return Interrupted()
            raise
        if ended is None:
            return Interrupted()
        if isinstance(ended.outcome, Succeeded):
            return ended.outcome
        # A handler that was told to stop may fail of that; it is interrupted all the same.
        if _caller_is_cancelled():
            raise asyncio.CancelledError
        if self._closed:
            return Interrupted()
        _tell(job, ended.outcome, ended.trace)
        return ended.outcome

    def run_inline(
        self,
        spec: HandlerSpec,
        job: Job,
        *,
        seconds: float | None = None,
        say: ProgressSink = ignore_progress,
    ) -> Outcome:
        """The same for a plain handler of the loop, which nothing can stop on its way. To be called in the handlers' thread.
        Raises nothing.
        """
        if self._closed:
            return Interrupted()
        started = time.monotonic()
        ended = call(spec.function, job, say)
        if seconds is not None and time.monotonic() - started > seconds:
            ended = Ended(Failed(Reason.TIMEOUT, str(TimeUp(seconds))))
        if not isinstance(ended.outcome, Succeeded):
            _tell(job, ended.outcome, ended.trace)
        return ended.outcome

    async def watch(self, limit: float) -> None:
        """Until cancelled: fail the handler that holds up the loop for `limit` seconds; see watch_loop. Raises LoopStuck."""
        await watch_loop(self.handlers, limit)

    async def close(self) -> None:
        """Interrupt what is running, and end the processes. Threads run on, as daemons."""
        self._closed = True
        for running in self._running:
            running.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_SECONDS)
        if self._handlers is not None:
            await self._handlers.close()
        self._processes.close()

    async def _run(
        self, spec: HandlerSpec, job: Job, seconds: float | None, say: ProgressSink, abandon: Abandon
    ) -> Ended | None:
        """None: nobody will hear of it. Raises TimeUp."""
        limit = None if seconds is None else TimeLimit(seconds)
        running = self._start(spec, job, say, begin_nothing if limit is None else limit.begin, abandon)
        # `close` must reach it.
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
                # The worker was busy, or the handlers' loop was, so it has stopped nobody.
                raise TimeUp(limit.seconds)
            return running.result()
        running.cancel()
        try:
            await asyncio.wait([running], timeout=STOP_SECONDS)
        finally:
            if not running.done():
                abandon(running)
        raise TimeUp(limit.seconds)

    def _start(
        self, spec: HandlerSpec, job: Job, say: ProgressSink, begin: Callable[[], None], abandon: Abandon
    ) -> asyncio.Future[Ended | None]:
        """A future of its own, so that a handler may cancel its task: of Ended or None. To cancel it is to stop the handler."""
        match spec.run_in:
            case "loop":
                function = _as_async(spec.function) if spec.is_inline else spec.function
                return self.handlers.start(function, job, say, None if begin is begin_nothing else begin)
            case "thread":
                calling: Coroutine[Any, Any, Ended | None] = self._threads.call(
                    spec.function, job, say, begin=begin, abandon=abandon
                )
            case "process":
                calling = self._processes.call(spec.function, job, say, begin=begin)
        return asyncio.create_task(calling)


def _as_async(function: Callable[[Job], Any]) -> Callable[[Job], Any]:
    async def call(job: Job) -> Any:
        return function(job)

    return call


def _caller_is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _tell(job: Job, failed: Failed, trace: str) -> None:
    words = {
        "job_id": job.id,
        "type": job.type,
        "attempt": job.attempt,
        "reason": str(failed.reason),
        "message": failed.message,
    }
    if trace:
        log.error("handler_failed", **words, exception=trace)
    else:
        log.warning("job_failed", **words)
