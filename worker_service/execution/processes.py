"""Runs plain handlers in processes, each of which can be killed, or die, without harm to the others."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog

from worker_service.execution.child import Child, ProcessDied
from worker_service.execution.invoke import Ended
from worker_service.execution.process_group import GroupEnds
from worker_service.execution.threads import start_thread
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import ProgressSink

log = structlog.get_logger()


class Processes:
    """At most `size`, each started when it is first needed; one that was killed or died is replaced then, too.

    So is one that has served `most_jobs` jobs, if that is given, and one that a handler has changed for good.
    """

    def __init__(self, size: int, prepare: Callable[[], None], most_jobs: int | None = None) -> None:
        """`prepare` is run in each new process and must be picklable."""
        self._places = asyncio.Semaphore(size)
        self._prepare = prepare
        self._most_jobs = most_jobs
        self._idle: list[Child] = []
        self._group_ends = GroupEnds()

    async def call(
        self, function: Callable[[Job], Any], job: Job, say: ProgressSink, *, begin: Callable[[], None]
    ) -> Ended:
        """Run a handler; `begin` is called when it starts. When cancelled, kill its process. Raises ProcessDied."""
        loop = asyncio.get_running_loop()

        def begin_in_loop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
                loop.call_soon_threadsafe(begin)

        def call() -> Ended:
            ended = child.call(function, job, begin_in_loop, say)
            if not self._may_be_used_again(child, job):
                child.kill()
            return ended

        async with self._places:
            child = self._take()
            try:
                calling = start_thread(call, job.id)
            except RuntimeError as error:
                child.kill()
                raise ProcessDied(f"no thread could be started for it: {error}") from None
            try:
                ended = await calling
            except BaseException:
                child.kill()
                raise
            if child.is_usable:
                self._idle.append(child)
            return ended

    def close(self) -> None:
        """Kill the idle processes; the busy ones are killed when their calls are cancelled. Waits for the programs that
        handlers have started, for GroupEnds' grace at most.
        """
        while self._idle:
            self._idle.pop().kill()
        self._group_ends.wait()

    def _may_be_used_again(self, child: Child, job: Job) -> bool:
        if child.changed:
            log.info(
                "process_renewed", job_id=job.id, type=job.type, attempt=job.attempt, changed=child.changed
            )
            return False
        return self._most_jobs is None or child.calls < self._most_jobs

    def _take(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
        return Child(self._prepare, self._group_ends)
