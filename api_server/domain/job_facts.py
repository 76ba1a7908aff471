"""What is known about a job at one moment, to explain why it does not run. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from api_server.domain.fleet import Fleet, Worker
from api_server.domain.job import Job


@dataclass(frozen=True, slots=True)
class Inspected:
    """A job, and what is stored about it but not shown to readers.

    `due_time`: when an API server looks at it again; None: it has ended. `alone`: whether its holder has no
    other job in flight. `partition`: of its latest record in Kafka; None: not known.
    """

    job: Job
    due_time: datetime | None
    alone: bool = False
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """Waiting jobs of the same type that come first.

    `is_capped`: not all jobs were examined, so more may come first.
    """

    count: int
    is_capped: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """All that an explanation is made from.

    `workers`: with their states as readers see them, so `lost` for a silent worker. `ahead`: None if it is
    not known.
    """

    inspected: Inspected
    now: datetime
    fleet: Fleet = field(default_factory=Fleet)
    workers: Sequence[Worker] = ()
    ahead: Ahead | None = None
