"""A request to create a job, its limits, and the job that it becomes. Pure."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from api_server.domain.job import Job, Status
from api_server.domain.notify import Notify
from api_server.domain.retry import DEFAULT_POLICY, RetryPolicy
from contract_runtime.content_digest import content_digest
from contract_runtime.errors import invalid
from contract_runtime.value import value

DISPATCH_GRACE = timedelta(seconds=5)
"""The due loop publishes a new job that was neither claimed nor marked as published within this time.

The dispatcher gives more time while it has a backlog.
"""
ID_TIME_BEFORE, ID_TIME_AFTER = timedelta(hours=24), timedelta(minutes=5)
"""How far the time in a client-chosen id may lie before and after now. List relies on these limits."""
MICROSECOND = timedelta(microseconds=1)
LONGEST_SCHEDULE = timedelta(days=366)
"""How far ahead a job may be scheduled."""


@value
class NewJob:
    """A request to create a job. Times are aware, UTC, in milliseconds."""

    type: str
    payload: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)
    id: UUID | None = None
    retry_policy: RetryPolicy = DEFAULT_POLICY
    schedule_time: datetime | None = None
    expire_time: datetime | None = None
    timeout: timedelta | None = None
    notify: Notify | None = None
    """None: the server's settings decide."""
    payload_size: int | None = field(default=None, compare=False)
    """See Job.payload_size."""
    owner: str = field(default="", compare=False)
    """See Job.owner."""
    canonical_payload: bytes | None = field(default=None, compare=False, repr=False)
    """See content_digest. None: the payload is not sent in a record."""

    def check_times(self, now: datetime) -> None:
        """Raises InvalidArgument if a time is too far ahead, or the times are in the wrong order."""
        if self.schedule_time is None:
            return
        if self.schedule_time > now + LONGEST_SCHEDULE:
            raise invalid(
                "schedule_time", "schedule_time.max", f"must be at most {LONGEST_SCHEDULE.days} days ahead"
            )
        if self.expire_time is not None and self.expire_time <= self.schedule_time:
            raise invalid("expire_time", "expire_time.order", "must be after schedule_time")

    def to_job(self, job_id: UUID, now: datetime, default_notify: Notify | None = None) -> Job:
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
            notify=self.notify or default_notify,
            next_attempt_time=self.schedule_time if is_waiting else None,
            payload_size=self.payload_size,
            owner=self.owner,
            content_digest=self._content_digest(job_id),
        )

    def _content_digest(self, job_id: UUID) -> str:
        if self.canonical_payload is None:
            return ""
        return content_digest(
            job_id.hex,
            self.type,
            self.canonical_payload,
            self.labels,
            self.retry_policy.max_attempts,
            0 if self.timeout is None else self.timeout // MICROSECOND,
        )


def first_due_time(job: Job, grace: timedelta = DISPATCH_GRACE) -> datetime:
    """When the due loop looks at a new job: at its expire_time at the latest.

    `grace`: how long its dispatch may take.
    """
    due_time = job.next_attempt_time or job.create_time + grace
    return due_time if job.expire_time is None else min(due_time, job.expire_time)


def new_job_id(now: datetime) -> UUID:
    """A UUIDv7 of the database's time."""
    return uuid7(nanoseconds=round(now.timestamp() * 1000) * 1_000_000)


def check_client_id(job_id: UUID, now: datetime) -> UUID:
    """The id itself. Raises InvalidArgument if the time in it is too far from now."""
    milliseconds = job_id.int >> 80
    now_milliseconds = round(now.timestamp() * 1000)
    earliest = now_milliseconds - ID_TIME_BEFORE // timedelta(milliseconds=1)
    latest = now_milliseconds + ID_TIME_AFTER // timedelta(milliseconds=1)
    if not earliest <= milliseconds <= latest:
        off = (milliseconds - now_milliseconds) / 1000
        raise invalid(
            "id",
            "id.time",
            f"must contain a time between 24 hours ago and 5 minutes from now, is {off:+.0f} s off",
        )
    return job_id
