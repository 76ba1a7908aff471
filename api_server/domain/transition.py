"""The parts of a job's transition: the guard, which says when it is allowed, and the change that it writes.

The guard is part of the database write, so two callers can never both succeed with the same transition.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from api_server.domain.attempt import Failure, Outcome
from api_server.domain.job import Job, Status
from contract_runtime.value import value

NO_WORKER = ""


@value
class Call:
    """One call of Cancel or Retry.

    Its id is stored in the job's field `name`, so that the call has no effect when it is sent again, whatever
    has happened to the job since.
    """

    name: Literal["cancel_id", "retry_id"]
    id: str

    def was_done(self, job: Job) -> bool:
        return self.id == (job.cancel_id if self.name == "cancel_id" else job.retry_id)


@value
class Guard:
    """What must be true of the job at the moment of the write. None: any value is allowed."""

    statuses: tuple[Status, ...]
    attempt: int | None = None
    worker_id: str | None = None
    type: str | None = None
    failures: int | None = None
    """The number that the change was decided with. It does not change while an attempt runs."""
    alone: bool | None = None
    """The value that the change was decided with, see Change.alone."""
    call: Call | None = None
    """This call must not have been applied before."""
    unexpired_at: datetime | None = None
    expired_at: datetime | None = None
    startable_at: datetime | None = None
    """The job's next_attempt_time must not be later than this."""
    lease_over_at: datetime | None = None

    def admits(self, job: Job) -> bool:
        """Whether the write may be sent again for `job`, as it was read.

        The lease does not count, because a job that was read has none. `failures` and `alone` do not count
        either: a decision from older values, because the store was behind, must never be refused.
        """
        return (
            job.status in self.statuses
            and self.attempt in (None, job.attempt)
            and self.worker_id in (None, job.worker_id)
            and self.type in (None, job.type)
            and not (self.call and self.call.was_done(job))
            and not (self.unexpired_at and job.is_expired(self.unexpired_at))
            and not (self.expired_at and not job.is_expired(self.expired_at))
            and not (self.startable_at and job.is_waiting(self.startable_at))
        )


@value
class Change:
    """What a transition writes; it also adds one to `revision`. None: the field stays as it is.

    `due_time`: when the due loop looks at the job again; a queued job at its expire_time at the latest; None:
    never, because the job has ended. `ended`: the outcome of the attempt that ends, for the history of a job
    that is queued again.
    """

    status: Status
    update_time: datetime
    due_time: datetime | None
    worker_id: str | None = None
    adds_attempt: bool = False
    adds_failure: bool = False
    adds_loss: bool = False
    adds_lone_loss: bool = False
    alone: bool | None = None
    """Whether the holder holds only this job. Removed when the job is queued again."""
    starts_over: bool = False
    """Whether failures, losses, progress and the error are removed."""
    ended: Outcome | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    expire_time: datetime | None = None


@value
class Transition:
    """A transition of one job.

    Jobs that change together have an equal `guard` and an equal `change`; the other fields belong to the one
    job. `next_attempt_time`: if set, it replaces the change's `due_time`. `content_digest`: the job must have
    this one; "": any. It is a condition like those of the guard, but each job has another one.
    """

    job_id: UUID
    guard: Guard
    change: Change
    result: Mapping[str, Any] | None = field(default=None, hash=False)
    failure: Failure | None = None
    claim_id: str = ""
    next_attempt_time: datetime | None = None
    content_digest: str = ""

    def fits_content(self, job: Job) -> bool:
        """Whether the job's content is what the caller takes it for."""
        return self.content_digest in ("", job.content_digest)

    @property
    def attempt_after(self) -> int | None:
        """The job's attempt after the transition; None if the guard does not name one."""
        if self.guard.attempt is None:
            return None
        return self.guard.attempt + int(self.change.adds_attempt)

    @property
    def reports_failure(self) -> bool:
        """Whether the holder reports that its attempt failed.

        The job then waits for another try, or has failed.
        """
        return self.change.adds_failure and self.guard.attempt is not None
