"""The logs of jobs: what handlers log, and who reads it."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import structlog

from api_server.domain.errors import JobNotFound, StoreUnavailable
from api_server.domain.job import Job
from api_server.domain.job_log import MAX_BYTES, AttemptLog, JobLog, LogEntry, LogPlace
from api_server.log_ports import JobLogStore
from service_runtime.group_commit import GroupCommit, Item, Limits

log = structlog.get_logger()

SWEEP_SECONDS = 10.0
SWEEP_LOGS = 2000
"""How many logs are examined each SWEEP_SECONDS: a million in about 80 minutes."""
READ_TOGETHER = Limits(bytes=64 * MAX_BYTES)
"""Whole logs that are read together for watches."""
ONE_AT_A_TIME = 60.0
"""Seconds. Any read ends earlier, so the next one never starts beside it: that would need more memory."""


class JobLogs:
    """See GetLog and AppendLog in proto/jobs/v1/."""

    def __init__(self, store: JobLogStore) -> None:
        self._store = store
        self._looks: GroupCommit[LogPlace, tuple[LogEntry, ...]] = GroupCommit(
            store.entries_after, READ_TOGETHER, max_blocking=ONE_AT_A_TIME
        )

    async def append(self, worker_id: str, logs: Sequence[AttemptLog]) -> None:
        """See JobLogStore.append."""
        if logs:
            await self._store.append(worker_id, logs)

    async def read(self, job_id: UUID) -> JobLog:
        """Raises JobNotFound."""
        found = await self._store.read(job_id)
        if found is None:
            raise JobNotFound(job_id)
        return found

    async def after(self, job: Job, number: int) -> tuple[LogEntry, ...]:
        """The entries after this number, oldest first. Watches that look at the same time share the read."""
        return await self._looks.do(Item(LogPlace(job.id, job.create_time, number), MAX_BYTES))

    async def delete(self, job_id: UUID) -> None:
        """Delete the log of a job that was deleted."""
        await self._store.delete(job_id)


class LogSweep:
    """Deletes logs whose jobs are gone, on the server that leads.

    MongoDB itself deletes jobs when their JOB_RETENTION is over, and nobody is told. So this walks through
    all logs again and again, a few at a time. Readers do not see the log of a job that is gone.
    """

    def __init__(self, store: JobLogStore, leads: Callable[[], bool]) -> None:
        self._store = store
        self._leads = leads
        self._after: UUID | None = None

    async def run(self) -> None:
        """Walk until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self.step()

    async def step(self) -> None:
        """Examine the next logs."""
        if not self._leads():
            return
        try:
            self._after = await self._store.delete_orphans(self._after, SWEEP_LOGS)
        except StoreUnavailable:
            pass  # The store has logged the outage.
        except Exception:
            log.exception("log_sweep_failed")
