"""What a change of a job is made of: when it may happen, and what it writes.

The guard goes into the database write itself, so two callers can never both succeed with the same step.
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
    """One call of Cancel or Retry, which leaves its id in the field `name` of the job: sent again, it does nothing more,
    whatever became of the job meanwhile.
    """

    name: Literal["cancel_id", "retry_id"]
    id: str

    def was_done(self, job: Job) -> bool:
        return self.id == (job.cancel_id if self.name == "cancel_id" else job.retry_id)


@value
class Guard:
    """What must be true of the job at the moment of the write. None: does not matter."""

    statuses: tuple[Status, ...]
    attempt: int | None = None
    worker_id: str | None = None
    type: str | None = None
    failures: int | None = None
    """The number that the change was decided from. While an attempt runs, it does not move."""
    alone: bool | None = None
    """As the change was decided from, see Change.alone. None: does not matter."""
    call: Call | None = None
    """It must not have been done."""
    unexpired_at: datetime | None = None
    expired_at: datetime | None = None
    startable_at: datetime | None = None
    """Whoever starts the job must not come before its next_attempt_time."""
    lease_over_at: datetime | None = None

    def admits(self, job: Job) -> bool:
        """Whether a write may be sent again for `job`, as read. It has no lease. Its `failures` and `alone` do not count:
        what was decided from others, because the store was behind, must never be refused.
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
    """What a transition writes, besides adding one to `revision`. None: left as it is.

    `due_time` is when somebody must look at the job again, at its expire_time at the latest if it is queued; None: never,
    the job has ended. `ended`: how the attempt that ends here goes into the history of a job that is queued again.
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
    """Whether the job is all that its holder has in hand; forgotten when it is queued again."""
    starts_over: bool = False
    """Forgets failures, losses, progress and the way it ended."""
    ended: Outcome | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    expire_time: datetime | None = None


@value
class Transition:
    """One step of one job.

    `guard` and `change` are equal for all jobs that take the same step together; what follows is the job's own.
    `next_attempt_time` stands for the change's `due_time`.
    """

    job_id: UUID
    guard: Guard
    change: Change
    result: Mapping[str, Any] | None = field(default=None, hash=False)
    failure: Failure | None = None
    claim_id: str = ""
    next_attempt_time: datetime | None = None

    @property
    def attempt_after(self) -> int | None:
        """The job's attempt after the step, where the guard knows it."""
        if self.guard.attempt is None:
            return None
        return self.guard.attempt + int(self.change.adds_attempt)

    @property
    def reports_failure(self) -> bool:
        """Whether a holder says that its attempt failed, whatever comes of it."""
        return self.change.adds_failure and self.guard.attempt is not None
