"""The two scans over jobs whose `due_time` has passed. Each `run_once` is one bounded pass and says what it did."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Dispatch
from api_server.domain.record_positions import PartitionState
from api_server.ports import DueJob, DueStore, Published, Publisher

log = structlog.get_logger()

BATCH = 500
MAX_LAPSE_BATCHES = 10
"""In one pass."""
REST = 2.0
"""Seconds for which a type is left alone after the broker did not take all of its jobs."""


class LeaseExpiryScan:
    """Puts jobs whose lease has run out back to queued."""

    def __init__(
        self,
        store: DueStore,
        unbroken_seconds: Callable[[], float | None],
        steady_seconds: Callable[[], float],
        job_lease: float,
    ) -> None:
        """`unbroken_seconds`: for how long heartbeats could be served; None: they cannot. `steady_seconds`: for how long
        the database's time has not jumped.
        """
        self._store = store
        self._unbroken_seconds = unbroken_seconds
        self._steady_seconds = steady_seconds
        self._job_lease = job_lease

    async def run_once(self, now: datetime) -> int:
        """End leases, unless their holders may have been kept from prolonging them; how many. Raises StoreUnavailable.

        Only after a whole lease in which heartbeats could be served is silence a worker's own. A new leader does not
        know what was before, so it waits too. So does everybody when the database's time has jumped: within a lease,
        heartbeats move all leases to the new time.
        """
        lapsed = 0
        for _ in range(MAX_LAPSE_BATCHES):
            unbroken = self._unbroken_seconds()
            if unbroken is None or min(unbroken, self._steady_seconds()) < self._job_lease:
                break
            count = await self._store.expire_leases(now, BATCH)
            lapsed += count
            if count < BATCH:
                break
        return lapsed


@dataclass(frozen=True, slots=True)
class DueReport:
    """One pass: jobs published, jobs whose records still wait in the topic, jobs that expired, and whether more is due at
    once.
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
class Plan:
    """What to do with due jobs: publish, only mark as published, or neither."""

    publish: tuple[Dispatch, ...]
    still_waiting: tuple[Published, ...]
    undecided: int


def plan(jobs: Sequence[DueJob], logs: Mapping[int, PartitionState] | None) -> Plan:
    """Decide from the partitions of the type's topic that there are (None: not known).

    A job that was published before is published again only when its record is gone: read by the group, which then did
    not claim the job, removed by retention, or lost with its topic. So a backlog does not grow by duplicates of itself,
    and a job without a record does not wait behind it.
    """
    publish: list[Dispatch] = []
    still_waiting: list[Published] = []
    undecided = 0
    for job in jobs:
        dispatch, position = job.dispatch, job.position
        if position is None:
            publish.append(dispatch)
        elif logs is None:
            undecided += 1
        elif position.partition in logs and logs[position.partition].holds(position):
            still_waiting.append(Published(dispatch.job_id, dispatch.attempt, position))
        else:
            publish.append(dispatch)
    return Plan(tuple(publish), tuple(still_waiting), undecided)


@dataclass(slots=True)
class Round:
    """One walk over all jobs of a type that were due at `until`, past those that had to be left as they were: a crowd of
    them must not hide what can be published, or has expired. `come_to`: the due_time of the last one met.
    """

    until: datetime
    come_to: datetime


class DueScan:
    """Publishes waiting jobs that are due, and fails those that have expired, one batch of each type in turn.

    Jobs of a type that is not among `types` stay due until a server is started with that type.
    """

    def __init__(
        self,
        store: DueStore,
        publisher: Publisher,
        types: Sequence[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._types = tuple(types)
        self._monotonic = monotonic
        self._resting_until: dict[str, float] = {}
        self._rounds: dict[str, Round] = {}
        """Of types with jobs that had to be left as they were."""

    async def run_once(self, now: datetime) -> DueReport:
        """One pass. Raises StoreUnavailable."""
        report = DueReport()
        for job_type in self._types:
            if self._monotonic() < self._resting_until.get(job_type, 0.0):
                continue
            try:
                report += await self._publish_type(job_type, now)
            except StoreUnavailable:
                raise
            except Exception:
                # Whatever is wrong with jobs of one type must not hold up the others.
                log.exception("due_jobs_not_published", type=job_type)
                self._resting_until[job_type] = self._monotonic() + REST
        return report

    async def _publish_type(self, job_type: str, now: datetime) -> DueReport:
        found = await self._next_batch(job_type, now)
        jobs = [job for job in found if not job.is_expired]
        expired = 0
        if len(jobs) < len(found):
            expired = await self._store.expire([job.dispatch.job_id for job in found if job.is_expired], now)
        if not jobs:
            return DueReport(expired=expired, more=expired > 0)
        partitions = {job.position.partition for job in jobs if job.position is not None}
        logs = await self._publisher.logs(job_type, partitions) if partitions else {}
        todo = plan(jobs, logs)
        places = await self._publisher.publish(todo.publish) if todo.publish else []
        published = [
            Published(dispatch.job_id, dispatch.attempt, position)
            for dispatch, position in zip(todo.publish, places, strict=True)
            if position is not None
        ]
        if published or todo.still_waiting:
            await self._store.mark_published([*published, *todo.still_waiting], now)
        done = len(published) + len(todo.still_waiting) == len(jobs)
        if not done:
            self._rounds.setdefault(job_type, Round(until=now, come_to=found[-1].due_time))
            self._resting_until[job_type] = self._monotonic() + REST
        return DueReport(len(published), len(todo.still_waiting), expired, more=done)

    async def _next_batch(self, job_type: str, now: datetime) -> list[DueJob]:
        """The longest due, or those that come next in a round."""
        if (under_way := self._rounds.get(job_type)) is not None:
            found = await self._store.due(job_type, under_way.until, BATCH, after=under_way.come_to)
            if found:
                under_way.come_to = found[-1].due_time
                return found
            del self._rounds[job_type]
        return await self._store.due(job_type, now, BATCH)
