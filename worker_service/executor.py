"""Runs one job by its handler's declared way, and tells what became of it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from worker_service.calling import Ended, call, call_async
from worker_service.child import ProcessDied
from worker_service.declare import HandlerSpec
from worker_service.job import Job
from worker_service.outcome import Failed, Interrupted, Outcome, Reason, Succeeded
from worker_service.processes import Processes
from worker_service.threads import Threads

log = structlog.get_logger()

STOP_SECONDS = 1.0
"""How long `close` waits for handlers that do not want to stop; by then they have been told so once."""


def prepare_nothing() -> None:
    """For processes that need no setting up."""


class Executor:
    """Nothing that a handler does, SystemExit and the death of its process included, touches another job."""

    def __init__(
        self, *, threads: int, processes: int, prepare_process: Callable[[], None] = prepare_nothing
    ) -> None:
        """`threads` and `processes` are how many there may be; neither exists before it is needed.

        `prepare_process` is run in each new process (to set up logging, say) and must be picklable.
        """
        self._threads = Threads(threads)
        self._processes = Processes(processes, prepare_process)
        self._tasks: set[asyncio.Task[Ended]] = set()
        self._closed = False

    async def run(self, spec: HandlerSpec, job: Job) -> Outcome:
        """Run `job` to its end. Interrupted if the executor was closed first.

        Cancelling this call cancels an async handler and kills the process of one that runs in a process. A thread cannot
        be stopped: its handler runs on, and nobody hears of its result. Raises CancelledError only.
        """
        if self._closed:
            return Interrupted()
        try:
            ended = await self._run(spec, job)
        except ProcessDied as error:
            ended = Ended(
                Failed(Reason.WORKER_PROCESS_DIED, f"the process that ran the handler died: {error}")
            )
        except asyncio.CancelledError:
            if self._closed and not _caller_is_cancelled():
                return Interrupted()
            raise
        if isinstance(ended.outcome, Succeeded):
            return ended.outcome
        # A handler that was told to stop may fail of that; it is interrupted all the same.
        if _caller_is_cancelled():
            raise asyncio.CancelledError
        if self._closed:
            return Interrupted()
        _tell(job, ended.outcome, ended.trace)
        return ended.outcome

    async def close(self) -> None:
        """Interrupt what is running, and end the processes. Threads run on, as daemons."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        self._processes.close()

    async def _run(self, spec: HandlerSpec, job: Job) -> Ended:
        match spec.run_in:
            case "loop" if not spec.is_async:
                return call(spec.function, job)
            case "loop":
                return await self._in_task(call_async(spec.function, job))
            case "thread":
                return await self._in_task(self._threads.call(spec.function, job))
            case "process":
                return await self._in_task(self._processes.call(spec.function, job))

    async def _in_task(self, running: Coroutine[Any, Any, Ended]) -> Ended:
        """A task of its own: a handler may cancel its task, and `close` must reach it."""
        task = asyncio.create_task(running)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await task


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
