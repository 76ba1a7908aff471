"""Job types, and what Explain, ListTypes and Stats need from outside. Adapters implement these.

The stores raise StoreUnavailable as those of ports.py do.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from api_server.domain.activity import Activity, ByType, EndTimes, Totals
from api_server.domain.job import Job, Status
from api_server.domain.job_facts import Ahead, Inspected


class JobTypes(Collection[str], Protocol):
    """The job types that this server takes, from memory. Their number only grows."""

    @property
    def workers_add(self) -> bool:
        """Whether types that workers register are taken, too."""

    async def look_up(self, job_types: Collection[str]) -> None:
        """Read the registered types if one of `job_types` is not known. Raises StoreUnavailable."""

    async def register(self, job_types: Collection[str]) -> None:
        """A worker runs jobs of these types. Raises StoreUnavailable."""


class JobTypeStore(Protocol):
    """The job types that workers have registered."""

    async def names(self) -> Sequence[str]:
        """All of them, in the order of their registration."""

    async def add(self, job_types: Sequence[str]) -> None:
        """Add those that are missing, on a majority of the database, until there are 256."""


class JobInspection(Protocol):
    """Looks at one job closely, to explain why it does not run."""

    async def inspect(self, job_id: UUID) -> Inspected | None:
        """The job as a majority of the database has it, without payload, result and labels; None: no such
        job.
        """

    async def ahead(self, job: Job) -> Ahead | None:
        """The waiting jobs of the type of a queued job that could start before it could; None: they could not
        be examined in time. Examines at most 1000 jobs.
        """


@dataclass(frozen=True, slots=True)
class Oldest:
    """Since when the oldest waiting job could start; None: none that may start now was found.

    `is_capped`: not all jobs were examined, so an older one may wait.
    """

    since: datetime | None
    is_capped: bool = False


class JobCounts(Protocol):
    """Counts jobs that have not ended, by the index."""

    async def types(self, status: Status, limit: int) -> Sequence[str]:
        """Up to `limit` types that have jobs in a status, in ascending order. Costs one look for each."""

    async def count(self, status: Status, job_type: str, limit: int) -> int:
        """The number of jobs of a type in a status, at most `limit`."""

    async def oldest(self, job_type: str, now: datetime) -> Oldest:
        """The queued job of a type that could start first. Examines at most 1000 jobs."""


class ActivityLog(Protocol):
    """Counts what this server records about jobs. Never waits and never raises. Types may be unknown."""

    def created(self, job_type: str) -> None:
        """A job was stored for the first time."""

    def started(self, job_type: str) -> None:
        """A job was claimed."""

    def ended(self, job_type: str, status: Status, job_id: UUID) -> None:
        """A job has ended in this status."""

    def failed(self, job_type: str, count: int) -> None:
        """So many jobs have failed that nobody has reported: they expired, or were poison."""


class ActivityStore(Protocol):
    """What all servers counted. It is bounded: minutes expire after two hours."""

    async def put(self, process: str, minute: datetime, counts: Mapping[str, Activity]) -> None:
        """Store what a server process counted in a minute, in place of what it stored before."""

    async def add_totals(self, totals: Mapping[str, Totals]) -> None:
        """Add to the totals. It must not be repeated."""

    async def minutes(self, since: datetime) -> Sequence[tuple[datetime, ByType]]:
        """What each process counted in each minute from `since` on."""

    async def totals(self) -> Mapping[str, Totals]:
        """The totals of each type."""

    async def end_times(self, job_ids: Sequence[UUID]) -> Sequence[EndTimes]:
        """The times of those of these jobs that have started and ended."""
