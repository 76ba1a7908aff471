"""A filter for jobs, and one page of the jobs that it selects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from uuid import UUID

from api_server.domain.job import TERMINAL, Job, Status

WITH_ERROR = frozenset({Status.FAILED, Status.CANCELLED})
"""The statuses of jobs that have an error."""


class View(Enum):
    """Which fields of jobs are read. BASIC: all but payload, result and history, which may be large."""

    FULL = auto()
    BASIC = auto()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects the jobs that meet all conditions. None or empty: no condition.

    A job must have one of the values of a set, but all `labels`, and a label with each of `label_keys`. Times
    are aware, UTC: `created_from` <= create_time < `created_before`, and the same for end_time.
    """

    statuses: frozenset[Status] = frozenset()
    types: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    label_keys: frozenset[str] = frozenset()
    error_reasons: frozenset[str] = frozenset()
    worker_ids: frozenset[str] = frozenset()
    created_from: datetime | None = None
    created_before: datetime | None = None
    ended_from: datetime | None = None
    ended_before: datetime | None = None

    def possible_statuses(self) -> frozenset[Status]:
        """The statuses that jobs can have that meet all conditions."""
        possible = self.statuses or frozenset(Status)
        if self.error_reasons:
            possible &= WITH_ERROR
        if self.ended_from is not None or self.ended_before is not None:
            possible &= TERMINAL
        return possible


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of the jobs is wanted, and how.

    `after`: the id after which the page begins, in the order of the page; None: it is the first page.
    `size`: the largest number of jobs on the page.
    """

    size: int
    after: UUID | None = None
    oldest_first: bool = False
    view: View = View.FULL


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs in the order of the page. `next_after`: the next page begins after this id; None: this is the
    last page.
    """

    jobs: list[Job]
    next_after: UUID | None


@dataclass(frozen=True, slots=True)
class JobCount:
    """The number of jobs that a filter selects. `is_capped`: more jobs may exist that were not examined."""

    count: int
    is_capped: bool
