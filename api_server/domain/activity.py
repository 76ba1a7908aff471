"""What happened to jobs, by minute and type. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

from api_server.domain.histogram import Histogram, add_to, bucket_of

MINUTE = timedelta(minutes=1)
MINUTES = 60
"""How many minutes readers are shown."""
NO_TYPE = ""
"""Stands for all types that are not known."""


@dataclass(slots=True)
class Activity:
    """Counts of one type.

    `to_start`: from the time when a job could start to its start. `run`: from its start to its end.
    """

    created: int = 0
    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    to_start: Histogram = field(default_factory=dict)
    run: Histogram = field(default_factory=dict)

    def add(self, other: "Activity") -> None:
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        add_to(self.to_start, other.to_start)
        add_to(self.run, other.run)


COUNTS = tuple(each.name for each in fields(Activity) if each.type is int)
ByType = dict[str, Activity]


@dataclass(frozen=True, slots=True)
class EndTimes:
    """When a job could start, started and ended. `could_start` None: this was not its first attempt."""

    type: str
    could_start: datetime | None
    start: datetime
    end: datetime

    def add_to(self, activity: Activity, weight: float) -> None:
        """Count it as `weight` jobs."""
        add_to(activity.run, {bucket_of(self.end - self.start): weight})
        if self.could_start is not None:
            add_to(activity.to_start, {bucket_of(self.start - self.could_start): weight})


@dataclass(frozen=True, slots=True)
class Totals:
    """How often jobs of one type have ended, by status."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @classmethod
    def of(cls, activity: Activity) -> "Totals":
        return cls(activity.completed, activity.failed, activity.cancelled)


def minute_of(time: datetime) -> datetime:
    return time.replace(second=0, microsecond=0)


def last_minutes(now: datetime) -> list[datetime]:
    """The beginnings of the minutes that readers are shown, oldest first."""
    present = minute_of(now)
    return [present - count * MINUTE for count in reversed(range(MINUTES))]


def merged(parts: Iterable[Mapping[str, Activity]]) -> ByType:
    """The sum of what several servers counted, or of several minutes."""
    total: ByType = {}
    for part in parts:
        for job_type, activity in part.items():
            total.setdefault(job_type, Activity()).add(activity)
    return total
