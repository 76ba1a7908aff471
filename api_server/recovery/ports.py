"""What the recovery needs from outside. Adapters implement these.

Each call to a store raises StoreUnavailable as the stores of api_server/ports.py do.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from api_server.domain.job import Dispatch
from api_server.domain.record_positions import PartitionState, RecordPosition
from api_server.ports import Clock, EndedLeases, PublishedMarks


class DatabaseClock(Clock, Protocol):
    """A clock that notices jumps of the database's time, for example when another member is elected."""

    def steady_seconds(self) -> float:
        """Seconds since the time last jumped. Older leases were given in the time before the jump."""


class Database(Protocol):
    """The database as a whole."""

    async def ping(self) -> None:
        """Return when the database answers."""


@dataclass(frozen=True, slots=True)
class DueJob:
    """A waiting job that is due.

    `position`: of its latest record, if it was published since it was queued. `is_expired`: its expire_time
    has passed, so it must not start any more.
    """

    dispatch: Dispatch
    position: RecordPosition | None
    due_time: datetime
    is_expired: bool = False


class LeaseExpiryStore(Protocol):
    """Jobs whose workers were lost."""

    async def expire_leases(self, now: datetime, limit: int) -> EndedLeases:
        """End up to `limit` leases that have run out.

        Each job is queued again, due at once, or has failed as POISON.
        """


class DueStore(LeaseExpiryStore, PublishedMarks, Protocol):
    """Jobs that somebody must look at again. Used by the one server that holds the due lease."""

    async def expire(self, job_type: str, job_ids: Sequence[UUID], now: datetime) -> int:
        """Fail the jobs of this type among `job_ids` that wait and whose expire_time has passed. Returns how
        many.
        """

    async def has_due(self, job_types: Sequence[str], now: datetime) -> bool:
        """Whether a queued job of one of these types is due."""

    async def due(
        self, job_type: str, now: datetime, limit: int, after: datetime | None = None
    ) -> list[DueJob]:
        """Up to `limit` queued jobs of a type that are due after `after`, if given; earliest first.

        Less than 100 only if there are no more.
        """


class LeaderLease(Protocol):
    """A lease that one process at a time holds."""

    async def acquire(self, holder: str, seconds: float) -> bool:
        """Take the lease, or prolong it. Returns whether `holder` has it now."""

    async def release(self, holder: str) -> None:
        """Give the lease up, if `holder` has it."""


class TopicReader(Protocol):
    """Reads how far the workers' consumer group is in a type's topic."""

    async def partition_states(
        self, job_type: str, partitions: Collection[int]
    ) -> Mapping[int, PartitionState] | None:
        """The state of each of `partitions` that exists; None: the broker does not answer."""
