"""A filter for jobs, and one page of the jobs that it selects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api_server.domain.job import Job, Status


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects the jobs that meet all conditions. None or empty: no condition.

    Times are aware, UTC: `created_from` <= create_time < `created_before`.
    """

    status: Status | None = None
    type: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first. `next_after`: the next page starts after this id; None: this is the last page."""

    jobs: list[Job]
    next_after: UUID | None
