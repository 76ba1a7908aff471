"""Runs plain handlers in processes. A process can die or be killed without harm to the others."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from worker_service.execution.child import Child, ProcessDied
from worker_service.execution.invocation import Invocation
from worker_service.execution.invoke import InvocationResult
from worker_service.execution.process_group import GroupEnds
from worker_service.execution.threads import start_thread
from worker_service.handler_api.job import Job

log = structlog.get_logger()


class Processes:
    """At most `size` processes, each started when it is first needed.

    A new process replaces one that died or was killed, one that has served `max_jobs` jobs (if that is
    given), and one that a handler has changed for good.
    """

    def __init__(self, size: int, prepare: Callable[[], None], max_jobs: int | None = None) -> None:
        """`prepare` is run in each new process and must be picklable."""
        self._slots = asyncio.Semaphore(size)
        self._prepare = prepare
        self._max_jobs = max_jobs
        self._idle: list[Child] = []
        self._group_ends = GroupEnds()

    async def run(self, invocation: Invocation) -> InvocationResult:
        """Call the handler in a process. When this is cancelled, it kills the process. Raises ProcessDied."""
        loop = asyncio.get_running_loop()
        job = invocation.job

        def on_started() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
                loop.call_soon_threadsafe(invocation.start_time_limit)

        def invoke() -> InvocationResult:
            result = child.invoke(invocation, on_started)
            if not self._is_reusable(child, job):
                child.kill()
            return result

        async with self._slots:
            child = self._idle_or_new()
            try:
                running = start_thread(invoke, job.id)
            except RuntimeError as error:
                child.kill()
                raise ProcessDied(f"no thread could be started for it: {error}") from None
            try:
                result = await running
            except BaseException:
                child.kill()
                raise
            if child.is_usable:
                self._idle.append(child)
            return result

    def close(self) -> None:
        """Kill the idle processes; a busy one is killed when its call is cancelled.

        Then wait until the programs that handlers have started have ended: blocks as long as GroupEnds.wait
        does.
        """
        while self._idle:
            self._idle.pop().kill()
        self._group_ends.wait()

    def _is_reusable(self, child: Child, job: Job) -> bool:
        if child.changed:
            log.info(
                "process_renewed", job_id=job.id, type=job.type, attempt=job.attempt, changed=child.changed
            )
            return False
        return self._max_jobs is None or child.calls < self._max_jobs

    def _idle_or_new(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
        return Child(self._prepare, self._group_ends)
