"""Gives the dispatcher the jobs that may start now."""

from datetime import datetime

from api_server.domain.job import Dispatch, Job, Status
from api_server.ports import Clock, Dispatcher


class ReadyJobs:
    """Knows which jobs may start. The due loop publishes the others when their time has come."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    def offer(self, job: Job, due_time: datetime) -> None:
        """Have the job published if it may start now. `due_time`: when the due loop looks at it."""
        now = self._clock.now()
        if job.status is Status.QUEUED and not job.is_waiting(now) and not job.is_expired(now):
            self._dispatcher.offer(Dispatch.of(job), due_time)
