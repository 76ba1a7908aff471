"""Runs plain handlers in processes, each of which can be killed, or die, without harm to the others."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from worker_service.calling import Ended
from worker_service.child import Child
from worker_service.job import Job
from worker_service.saying import Say
from worker_service.threads import start_thread


class Processes:
    """At most `size`, each started when it is first needed; one that was killed or died is replaced then, too."""

    def __init__(self, size: int, prepare: Callable[[], None]) -> None:
        """`prepare` is run in each new process and must be picklable."""
        self._places = asyncio.Semaphore(size)
        self._prepare = prepare
        self._idle: list[Child] = []

    async def call(
        self, function: Callable[[Job], Any], job: Job, say: Say, *, begin: Callable[[], None]
    ) -> Ended:
        """Run a handler; `begin` is called when it starts. When cancelled, kill its process. Raises ProcessDied."""
        loop = asyncio.get_running_loop()

        def begin_in_loop() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended
                loop.call_soon_threadsafe(begin)

        async with self._places:
            child = self._take()
            try:
                ended = await start_thread(lambda: child.call(function, job, begin_in_loop, say), job.id)
            except BaseException:
                child.kill()
                raise
            self._idle.append(child)
            return ended

    def close(self) -> None:
        """Kill the idle processes; the busy ones are killed when their calls are cancelled."""
        while self._idle:
            self._idle.pop().kill()

    def _take(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            child.kill()
        return Child(self._prepare)
