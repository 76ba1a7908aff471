"""What Create is asked for, what it has to keep to, and the job that it makes. Pure."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from api_server.domain.job import Job, Status
from api_server.domain.retry import DEFAULT_POLICY, RetryPolicy
from contract_runtime.errors import invalid
from contract_runtime.value import value

DISPATCH_GRACE = timedelta(seconds=5)
"""A job that nobody has claimed or marked as published by then is published by the due loop. Behind a backlog it is longer."""
ID_TIME_BEFORE, ID_TIME_AFTER = timedelta(hours=24), timedelta(minutes=5)
"""A client-chosen id may carry a time as far before and after now; List relies on it."""
LONGEST_SCHEDULE = timedelta(days=366)
"""A job may be scheduled as far ahead."""


@value
class NewJob:
    """What Create is asked for. Times are aware, UTC, in milliseconds."""

    type: str
    payload: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    id: UUID | None = None
    retry_policy: RetryPolicy = DEFAULT_POLICY
    schedule_time: datetime | None = None
    expire_time: datetime | None = None
    timeout: timedelta | None = None

    def check_times(self, now: datetime) -> None:
        """Raises InvalidArgument if they are too far ahead, or in the wrong order."""
        if self.schedule_time is None:
            return
        if self.schedule_time > now + LONGEST_SCHEDULE:
            raise invalid(
                "schedule_time", "schedule_time.max", f"must be {LONGEST_SCHEDULE.days} days ahead at most"
            )
        if self.expire_time is not None and self.expire_time <= self.schedule_time:
            raise invalid("expire_time", "expire_time.order", "must be after schedule_time")

    def to_job(self, job_id: UUID, now: datetime) -> Job:
        is_waiting = self.schedule_time is not None and self.schedule_time > now
        return Job(
            job_id,
            self.type,
            Status.QUEUED,
            self.payload,
            create_time=now,
            update_time=now,
            labels=self.labels,
            retry_policy=self.retry_policy,
            schedule_time=self.schedule_time,
            expire_time=self.expire_time,
            timeout=self.timeout,
            next_attempt_time=self.schedule_time if is_waiting else None,
        )


def first_due_time(job: Job, grace: timedelta = DISPATCH_GRACE) -> datetime:
    """When somebody must look at a new job: never after its expire_time. `grace`: how long its dispatch may take."""
    due_time = job.next_attempt_time or job.create_time + grace
    return due_time if job.expire_time is None else min(due_time, job.expire_time)


def new_job_id(now: datetime) -> UUID:
    """A UUIDv7 of the database's time."""
    return uuid7(nanoseconds=round(now.timestamp() * 1000) * 1_000_000)


def check_client_id(job_id: UUID, now: datetime) -> UUID:
    """The id, if the time in it is near enough. Raises InvalidArgument."""
    milliseconds = job_id.int >> 80
    now_milliseconds = round(now.timestamp() * 1000)
    earliest = now_milliseconds - ID_TIME_BEFORE // timedelta(milliseconds=1)
    latest = now_milliseconds + ID_TIME_AFTER // timedelta(milliseconds=1)
    if not earliest <= milliseconds <= latest:
        off = (milliseconds - now_milliseconds) / 1000
        raise invalid(
            "id",
            "id.time",
            f"must carry a time between 24 hours ago and 5 minutes from now, is {off:+.0f} s off",
        )
    return job_id
