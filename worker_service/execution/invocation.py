"""A call of a handler on its way from the executor to the place where the handler runs."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from contract_runtime.value import value
from worker_service.execution.job_lines import AttemptLines
from worker_service.execution.time_limit import TimeLimit
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import ProgressUpdate


class RunListener(Protocol):
    """Is informed while a job's handler runs."""

    def on_progress(self, update: ProgressUpdate) -> None:
        """The handler reported its progress. Called from any thread; must not wait."""

    def on_left_running(self, handler: asyncio.Future[Any]) -> None:
        """The job has ended, but its handler still runs. `handler` is done when the handler returns."""


class IgnoreRun:
    """A RunListener that ignores everything."""

    def on_progress(self, update: ProgressUpdate) -> None:
        pass

    def on_left_running(self, handler: asyncio.Future[Any]) -> None:
        pass


@value
class Invocation:
    """`function` is called with `job`. `lines` gets what it logs. `time_limit` is None if the handler may run
    for any time.
    """

    function: Callable[[Job], Any]
    job: Job
    listener: RunListener
    lines: AttemptLines
    time_limit: TimeLimit | None

    def start_time_limit(self) -> None:
        """The handler starts. To be called in the worker's loop."""
        if self.time_limit is not None:
            self.time_limit.start()
