"""A change of many jobs that goes on after the call that began it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from api_server.domain.job import Status
from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.transition import Transition
from api_server.domain.transitions import cancel, retry

MAX_REFUSALS = 100
"""How many refusals an operation lists. It counts all of them."""


class Kind(StrEnum):
    """What is done to the jobs, by the contract's names."""

    BULK_CANCEL = "bulk_cancel"
    BULK_RETRY = "bulk_retry"


CHANGEABLE: Mapping[Kind, frozenset[Status]] = {
    Kind.BULK_CANCEL: frozenset({Status.QUEUED, Status.PROCESSING}),
    Kind.BULK_RETRY: frozenset({Status.FAILED, Status.CANCELLED}),
}
"""The statuses of the jobs that an operation tries to change."""


class State(StrEnum):
    """How far an operation is, by the contract's names."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"
    CANCELLED = "cancelled"
    FAILED = "failed"


UNFINISHED = frozenset({State.WAITING, State.RUNNING})


class Refusal(NamedTuple):
    """Why a job could not be changed."""

    job_id: UUID
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The jobs that are changed next, recorded before they are changed.

    So a server that goes on after a crash counts them, whether they were changed before or not. `next_after`:
    the id after which the next batch begins; None: this is the last batch.
    """

    job_ids: tuple[UUID, ...]
    next_after: UUID | None


@dataclass(frozen=True, slots=True)
class Operation:
    """A change of all jobs that match a filter. Times are aware, UTC, in milliseconds.

    `matched`: the number of jobs when the operation was created. `after`: the jobs up to this id, oldest
    first, have been tried. `has_tried_all`: nothing is left to do but to end.
    """

    id: UUID
    kind: Kind
    wanted: JobFilter
    reason: str
    create_time: datetime
    update_time: datetime
    matched: JobCount
    state: State = State.WAITING
    end_time: datetime | None = None
    changed: int = 0
    refused: int = 0
    refusals: tuple[Refusal, ...] = ()
    after: UUID | None = None
    batch: Batch | None = None
    has_tried_all: bool = False

    @property
    def has_ended(self) -> bool:
        return self.state not in UNFINISHED

    @property
    def progress(self) -> tuple[State, int, int]:
        """What a watch tells the changes of."""
        return self.state, self.changed, self.refused

    def transition(self, job_id: UUID, now: datetime) -> Transition:
        """The change of one job. Its call is the operation's: it has no effect when it is sent again."""
        if self.kind is Kind.BULK_CANCEL:
            return cancel(job_id, self.id.hex, self.reason, now)
        return retry(job_id, self.id.hex, now)


@dataclass(frozen=True, slots=True)
class OperationPage:
    """Operations, newest first. `next_after`: the next page begins after this id; None: this is the last
    page.
    """

    operations: list[Operation]
    next_after: UUID | None


def jobs_to_change(kind: Kind, wanted: JobFilter, now: datetime) -> JobFilter | None:
    """The jobs that an operation created at `now` tries to change; None: there can be none.

    Jobs that are created later do not count, or an operation might never end.
    """
    statuses = CHANGEABLE[kind] & (wanted.statuses or CHANGEABLE[kind])
    if not statuses:
        # A filter without statuses would select all jobs.
        return None
    before = now if wanted.created_before is None else min(wanted.created_before, now)
    return replace(wanted, statuses=statuses, created_before=before)
