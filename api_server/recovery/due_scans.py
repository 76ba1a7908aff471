"""The two scans over jobs whose `due_time` has passed. Each `run_once` is one bounded pass."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Dispatch
from api_server.domain.record_positions import PartitionState
from api_server.ports import Availability, Published, Publisher
from api_server.recovery.ports import DatabaseClock, DueJob, DueStore, LeaseExpiryStore, TopicReader

log = structlog.get_logger()

BATCH = 500
MAX_EXPIRY_BATCHES = 10
"""In one pass."""
MANY = 100
"""A pass with fewer due jobs of a type has found them all. The next pass then waits for others to gather."""
PAUSE = 2.0
"""Seconds in which a type is not looked at after the broker did not take all of its jobs."""


class LeaseExpiryScan:
    """Queues jobs again whose lease has run out."""

    def __init__(
        self,
        store: LeaseExpiryStore,
        availability: Availability,
        clock: DatabaseClock,
        lease: timedelta,
    ) -> None:
        self._store = store
        self._availability = availability
        self._clock = clock
        self._lease_seconds = lease.total_seconds()

    async def run_once(self, now: datetime) -> int:
        """End leases that have run out. Returns how many. Raises StoreUnavailable.

        Ends none unless heartbeats could be served for one whole lease: only then is a worker silent by its
        own fault. A new leader does not know what was before, so it waits for one lease too. So does every
        leader after the database's time has jumped: within one lease, heartbeats move all leases to the new
        time.
        """
        expired = 0
        for _ in range(MAX_EXPIRY_BATCHES):
            unbroken = self._availability.unbroken_seconds()
            if unbroken is None or min(unbroken, self._clock.steady_seconds()) < self._lease_seconds:
                break
            ended = await self._store.expire_leases(now, BATCH)
            expired += ended.count
            if ended.count < BATCH:
                break
        return expired


@dataclass(frozen=True, slots=True)
class DueReport:
    """One pass, in numbers of jobs: published, with a record that still waits in the topic, and expired.

    `more`: whether more jobs may be due at once.
    """

    published: int = 0
    still_waiting: int = 0
    expired: int = 0
    more: bool = False

    def __add__(self, other: "DueReport") -> "DueReport":
        return DueReport(
            self.published + other.published,
            self.still_waiting + other.still_waiting,
            self.expired + other.expired,
            self.more or other.more,
        )


@dataclass(frozen=True, slots=True)
class DueDecision:
    """Due jobs to publish, due jobs only to mark as published, and how many cannot be decided now."""

    publish: tuple[Dispatch, ...]
    still_waiting: tuple[Published, ...]
    undecided: int


def decide(jobs: Sequence[DueJob], partitions: Mapping[int, PartitionState] | None) -> DueDecision:
    """`partitions`: the partitions of the type's topic that exist; None: unknown.

    A job that was published before is published again only when its record is gone: the group has read it
    without claiming the job, or retention or the deletion of the topic removed it. So a backlog does not grow
    by duplicates, and a job without a record does not wait behind the backlog.
    """
    publish: list[Dispatch] = []
    still_waiting: list[Published] = []
    undecided = 0
    for job in jobs:
        dispatch, position = job.dispatch, job.position
        if position is None:
            publish.append(dispatch)
        elif partitions is None:
            undecided += 1
        elif position.partition in partitions and partitions[position.partition].holds(position):
            still_waiting.append(Published(dispatch.job_id, dispatch.attempt, position))
        else:
            publish.append(dispatch)
    return DueDecision(tuple(publish), tuple(still_waiting), undecided)


@dataclass(slots=True)
class Round:
    """One walk over all jobs of a type that were due at `until`, in the order of their due_time.

    It is needed when jobs had to be left as they were: otherwise many such jobs would hide others behind them
    that can be published, or have expired. `reached`: the due_time of the last job of the walk so far.
    """

    until: datetime
    reached: datetime


class DueScan:
    """Publishes waiting jobs that are due, and fails those that have expired, one batch of each type in turn.

    `types` may grow. Jobs of a type that is not among them stay due until a server takes that type.
    """

    def __init__(
        self,
        store: DueStore,
        publisher: Publisher,
        topics: TopicReader,
        types: Collection[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._topics = topics
        self._types = types
        self._monotonic = monotonic
        self._paused_until: dict[str, float] = {}
        self._rounds: dict[str, Round] = {}
        """The rounds of types with jobs that had to be left as they were."""

    async def run_once(self, now: datetime) -> DueReport:
        """One pass. Raises StoreUnavailable."""
        report = DueReport()
        types = tuple(self._types)
        # Most passes find nothing. Then this is the only query, however many types there are.
        if not await self._store.has_due(types, now):
            return report
        for job_type in types:
            if self._monotonic() < self._paused_until.get(job_type, 0.0):
                continue
            try:
                report += await self._publish_type(job_type, now)
            except StoreUnavailable:
                raise
            except Exception:
                # A fault with the jobs of one type must not delay the others.
                log.exception("due_jobs_not_published", type=job_type)
                self._pause(job_type)
        return report

    async def _publish_type(self, job_type: str, now: datetime) -> DueReport:
        found = await self._next_batch(job_type, now)
        jobs = [job for job in found if not job.is_expired]
        expired = 0
        if len(jobs) < len(found):
            over = [job.dispatch.job_id for job in found if job.is_expired]
            expired = await self._store.expire(job_type, over, now)
        if not jobs:
            return DueReport(expired=expired, more=expired >= MANY)
        decision = decide(jobs, await self._partition_states(job_type, jobs))
        published = await self._published(decision.publish)
        if published or decision.still_waiting:
            await self._store.mark_published([*published, *decision.still_waiting], now)
        all_done = len(published) + len(decision.still_waiting) == len(jobs)
        if not all_done:
            self._rounds.setdefault(job_type, Round(until=now, reached=found[-1].due_time))
            self._pause(job_type)
        return DueReport(
            len(published), len(decision.still_waiting), expired, all_done and len(found) >= MANY
        )

    async def _partition_states(
        self, job_type: str, jobs: Sequence[DueJob]
    ) -> Mapping[int, PartitionState] | None:
        """The partitions with records of `jobs`. Costs nothing when no job was published before."""
        partitions = {job.position.partition for job in jobs if job.position is not None}
        return await self._topics.partition_states(job_type, partitions) if partitions else {}

    async def _published(self, dispatches: Sequence[Dispatch]) -> list[Published]:
        """Publish jobs. Returns those that the broker confirmed."""
        positions = await self._publisher.publish(dispatches) if dispatches else []
        return [
            Published(dispatch.job_id, dispatch.attempt, position)
            for dispatch, position in zip(dispatches, positions, strict=True)
            if position is not None
        ]

    def _pause(self, job_type: str) -> None:
        self._paused_until[job_type] = self._monotonic() + PAUSE

    async def _next_batch(self, job_type: str, now: datetime) -> list[DueJob]:
        """The jobs with the earliest due_time, or the next ones of a round."""
        if (current := self._rounds.get(job_type)) is not None:
            found = await self._store.due(job_type, current.until, BATCH, after=current.reached)
            if found:
                current.reached = found[-1].due_time
                return found
            del self._rounds[job_type]
        return await self._store.due(job_type, now, BATCH)
