"""Which jobs a reader asks for, and the page of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from api_server.domain.job import Job, Status


@dataclass(frozen=True, slots=True)
class JobFilter:
    """All conditions hold together; None or empty: no condition. Times are aware, UTC, `created_from` included,
    `created_before` not.
    """

    status: Status | None = None
    type: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs, newest first; `next_after` is the last id looked at, from which the next page goes on, None at the end."""

    jobs: list[Job]
    next_after: UUID | None
