"""What the services of job logs need from outside. See also ports.py."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from api_server.domain.job_log import AttemptLog, JobLog, LogEntry, LogPlace


class JobLogStore(Protocol):
    """The logs of jobs, apart from the jobs. Calls raise StoreUnavailable as those of other stores do."""

    async def append(self, worker_id: str, logs: Sequence[AttemptLog]) -> None:
        """Add what attempts have logged; see JobLog.with_attempt. The same call again is harmless.

        Logs of jobs that do not exist, and of attempts that another worker holds, are ignored.
        """

    async def read(self, job_id: UUID) -> JobLog | None:
        """The job's log, which is empty if it has logged nothing; None: there is no such job."""

    async def entries_after(self, places: Sequence[LogPlace]) -> list[tuple[LogEntry, ...]]:
        """The entries that follow each place, oldest first, by one read. A job that is gone has none."""

    async def delete(self, job_id: UUID) -> None:
        """Delete the job's log, if there is one."""

    async def delete_orphans(self, after: UUID | None, limit: int) -> UUID | None:
        """Among the next `limit` logs in the order of ids, delete those of jobs that do not exist any more.

        `after`: where to begin; None: with the first one. Returns where to go on; None: these were the last
        ones.
        """
