"""Counts what this server records about jobs, and stores the counts every few seconds.

A count costs no call. What is stored is bounded: one small document for each minute and server process, which
expires, and one with the totals.
"""

import asyncio
import random
from collections.abc import Callable
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from api_server.domain.activity import MINUTES, NO_TYPE, Activity, ByType, Totals, merged, minute_of
from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Status
from api_server.ports import Clock
from api_server.stats_ports import ActivityLog, ActivityStore, JobTypes

log = structlog.get_logger()

STORE_EVERY = 5.0
"""Seconds. A server that is killed loses the counts of this time at most."""
SAMPLE = 100
"""How many of the jobs that ended between two stores are measured: their times are read from the database."""


class ActivityRecorder(ActivityLog):
    """Counts go to the minute in which the last store began, so none needs the time."""

    def __init__(
        self,
        store: ActivityStore,
        clock: Clock,
        types: JobTypes,
        choose: Callable[[int], int] = random.randrange,
    ) -> None:
        """`choose`: a random number below its argument, for the sample."""
        self._store = store
        self._clock = clock
        self._types = types
        self._choose = choose
        self._process = uuid4().hex
        self._new: ByType = {}
        """The counts since the last store."""
        self._minute = minute_of(clock.now())
        self._minutes: dict[datetime, ByType] = {self._minute: {}}
        self._changed: set[datetime] = set()
        """Minutes whose counts are not stored."""
        self._not_in_totals: ByType = {}
        self._sample: list[UUID] = []
        self._ended = 0
        """How many jobs ended since the last store."""

    def created(self, job_type: str) -> None:
        self._of(job_type).created += 1

    def started(self, job_type: str) -> None:
        self._of(job_type).started += 1

    def ended(self, job_type: str, status: Status, job_id: UUID) -> None:
        activity = self._of(job_type)
        match status:
            case Status.COMPLETED:
                activity.completed += 1
            case Status.FAILED:
                activity.failed += 1
            case _:
                activity.cancelled += 1
        if status is not Status.CANCELLED:
            self._add_to_sample(job_id)

    def failed(self, job_type: str, count: int) -> None:
        # Not measured: how long they ran or waited says nothing of their handlers.
        self._of(job_type).failed += count

    async def run(self) -> None:
        """Store the counts again and again, until cancelled."""
        while True:
            await asyncio.sleep(STORE_EVERY)
            await self.store()

    async def store(self) -> None:
        """Store what was counted since the last store. Never raises."""
        try:
            await self._measure()
            self._close_counts()
            self._begin_minute()
            for minute in sorted(self._changed):
                await self._store_minute(minute)
            counted, self._not_in_totals = self._not_in_totals, {}
            totals = {job_type: Totals.of(activity) for job_type, activity in counted.items()}
            if any(each != Totals() for each in totals.values()):
                # Not repeated: if its outcome is unknown, it may have been stored.
                await self._store.add_totals(totals)
        except StoreUnavailable:
            pass  # The store has logged the outage. Minutes are stored later.
        except Exception:
            log.exception("activity_not_stored")

    def _of(self, job_type: str) -> Activity:
        activity = self._new.get(job_type)
        if activity is None:
            # The number of types is bounded, because a caller may name any.
            known = job_type if job_type in self._types else NO_TYPE
            activity = self._new.setdefault(known, Activity())
        return activity

    def _close_counts(self) -> None:
        """Add the counts since the last store to their minute, and to what the totals lack."""
        counted, self._new = self._new, {}
        if counted:
            self._changed.add(self._minute)
            self._minutes[self._minute] = merged((self._minutes[self._minute], counted))
            self._not_in_totals = merged((self._not_in_totals, counted))

    def _add_to_sample(self, job_id: UUID) -> None:
        """Each job has the same chance to stay in the sample (reservoir sampling)."""
        self._ended += 1
        if len(self._sample) < SAMPLE:
            self._sample.append(job_id)
        elif (place := self._choose(self._ended)) < SAMPLE:
            self._sample[place] = job_id

    async def _measure(self) -> None:
        """Add the durations of the sample to the present minute. In an outage they are lost."""
        sample, ended = self._sample, self._ended
        self._sample, self._ended = [], 0
        if not sample:
            return
        try:
            measured = await self._store.end_times(sample)
        except StoreUnavailable:
            return
        for times in measured:
            times.add_to(self._of(times.type), ended / len(sample))

    def _begin_minute(self) -> None:
        present = minute_of(self._clock.now())
        if present != self._minute:
            self._minute = present
            self._minutes.setdefault(present, {})
        # During an outage, minutes that nobody will be shown are dropped.
        for minute in sorted(self._minutes)[:-MINUTES]:
            self._forget(minute)

    async def _store_minute(self, minute: datetime) -> None:
        self._changed.discard(minute)
        try:
            await self._store.put(self._process, minute, self._minutes[minute])
        except BaseException:
            self._changed.add(minute)
            raise
        if minute != self._minute:
            self._forget(minute)

    def _forget(self, minute: datetime) -> None:
        self._changed.discard(minute)
        del self._minutes[minute]
