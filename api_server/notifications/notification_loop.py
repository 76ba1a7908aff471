"""The loop that stores the webhooks of jobs that have ended.

The end of a job is one write, and its webhook another. A job with `notify` is marked from its creation on, so
nothing can come between the end and the mark. The loop stores the webhook first and removes the mark
afterwards. After a crash in between, the webhook is stored again with the same id, which changes nothing.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.notification import webhook_job
from api_server.notifications.ports import UnnotifiedStore
from api_server.ports import Clock, Dispatcher, JobStore
from api_server.stats_ports import ActivityLog

log = structlog.get_logger()

BATCH = 200
"""How many webhooks are stored together."""
TICK = 0.5
"""Seconds between two looks. A webhook is stored this long after the end of its job at most."""


class NotificationLoop:
    """Runs until it is cancelled, and works while `may_run` says so."""

    def __init__(
        self,
        store: UnnotifiedStore,
        jobs: JobStore,
        dispatcher: Dispatcher,
        clock: Clock,
        activity: ActivityLog,
        may_run: Callable[[], bool],
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._dispatcher = dispatcher
        self._clock = clock
        self._activity = activity
        self._may_run = may_run

    async def run(self) -> None:
        while True:
            stored = 0
            try:
                if self._may_run():
                    stored = await self.step()
            except StoreUnavailable:
                pass  # The store has logged the outage.
            except Exception:
                # One failed pass must not end the notifications.
                log.exception("webhooks_not_stored")
            await asyncio.sleep(0 if stored == BATCH else TICK)

    async def step(self) -> int:
        """Store up to BATCH webhooks. Returns how many. Raises StoreUnavailable."""
        ended = await self._store.unnotified(BATCH)
        if not ended:
            return 0
        due_time = self._clock.now() + self._dispatcher.grace
        outcomes = await self._jobs.insert_all([(webhook_job(each), due_time) for each in ended])
        # Also those that cannot be stored: they would come again and again, before all others.
        await self._store.mark_notified(ended)
        for each, outcome in zip(ended, outcomes, strict=True):
            if isinstance(outcome, Job):
                self._offer(outcome, due_time)
            else:
                log.error("webhook_not_stored", job_id=str(each.id), reason=outcome.message)
        log.info("webhooks_stored", count=len(ended))
        return len(ended)

    def _offer(self, job: Job, due_time: datetime) -> None:
        """Have it published. The due loop does that if this server ends before."""
        if job.status is Status.QUEUED and job.attempt == 0:
            self._activity.created(job.type)
            self._dispatcher.offer(Dispatch.of(job), due_time)
