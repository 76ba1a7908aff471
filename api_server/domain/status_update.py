"""A request to change a job's status, and the transition that it becomes."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from api_server.domain import transitions
from api_server.domain.attempt import Failure
from api_server.domain.job import Status
from api_server.domain.retry import UNTRIED, FailureHint, Tries, wait_before_next_try
from api_server.domain.transition import Transition
from contract_runtime.errors import invalid
from contract_runtime.value import value


@value
class Claim:
    """A worker claims the job, provided that it was claimed exactly `expected_attempt` times before.

    `content_digest`: of what it is about to run; "": not checked.
    """

    worker_id: str
    expected_attempt: int
    expected_type: str | None = None
    alone: bool = False
    content_digest: str = ""


@value
class Token:
    """The fencing token: proves that the worker holds this attempt of the job.

    `type`: of the job, for statistics; "" if it is not known.
    """

    worker_id: str
    attempt: int
    type: str = ""


@value
class StatusUpdate:
    """A request to move one job to `status`. `guard`: what entitles the caller; None: an unfenced request."""

    job_id: UUID
    status: Status
    guard: Claim | Token | None = None
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None
    hint: FailureHint | None = None
    session: str = field(default="", compare=False, repr=False)
    """The hash of the session that came with the call; "": none came."""
    result_size: int | None = field(default=None, compare=False)
    """Bytes of the result as protobuf, measured once when its request comes in. None: not measured."""

    @property
    def claim(self) -> Claim | None:
        """The claim, if the update is a worker's claim."""
        return self.guard if isinstance(self.guard, Claim) else None

    @property
    def job_type(self) -> str:
        """The type of the job, as its caller says; "" if it does not."""
        match self.guard:
            case Claim(expected_type=expected):
                return expected or ""
            case Token(type=job_type):
                return job_type
            case _:
                return ""

    @property
    def is_start(self) -> bool:
        """Whether the update claims the job."""
        return self.status is Status.PROCESSING and not isinstance(self.guard, Token)

    @property
    def is_unfenced_claim(self) -> bool:
        """Whether the update claims the job without a worker's name."""
        return self.guard is None and self.status is Status.PROCESSING

    @property
    def may_be_tried_again(self) -> bool:
        """Whether the job may be tried again, which depends on how often it has failed."""
        is_report = self.status is Status.FAILED and isinstance(self.guard, Token)
        return is_report and not (self.hint and self.hint.permanent)


@value
class Leases:
    """How long a claim lasts: of a worker, which prolongs it by heartbeats, and of an unfenced caller, who
    cannot.
    """

    worker: timedelta
    unfenced: timedelta


@value
class UpdateContext:
    """What a transition depends on besides the update.

    `claim_id`: identifies an unfenced claim. `tries`: of a job whose holder reports a failure. `chance`: 0 to
    1, spreads its next try.
    """

    now: datetime
    leases: Leases
    claim_id: str = ""
    tries: Tries = UNTRIED
    chance: float = 0.5


def to_transition(  # noqa: C901, PLR0911 - a table: one case for each kind of update
    update: StatusUpdate, given: UpdateContext
) -> Transition:
    """The transition that `update` requests.

    Raises InvalidArgument if the status, the guard and the outcome do not fit together.
    """
    now, leases = given.now, given.leases
    _check_outcome(update)
    match update.status, update.guard:
        case Status.PROCESSING, Claim(worker_id, attempt, job_type, alone, digest):
            return transitions.claim(
                update.job_id,
                worker_id,
                attempt,
                now,
                leases.worker,
                job_type,
                alone=alone,
                content_digest=digest,
            )
        case Status.PROCESSING, Token(worker_id, attempt):
            return transitions.end_solitude(update.job_id, worker_id, attempt, now, leases.worker)
        case Status.PROCESSING, None:
            return transitions.claim_unfenced(update.job_id, given.claim_id, now, leases.unfenced)
        case Status.COMPLETED, Token(worker_id, attempt):
            return transitions.complete(update.job_id, worker_id, attempt, update.result or {}, now)
        case Status.FAILED, Token(worker_id, attempt):
            return _failure(update, worker_id, attempt, given)
        case Status.QUEUED, Token(worker_id, attempt):
            return transitions.release(update.job_id, worker_id, attempt, now)
        case Status.COMPLETED, None:
            return transitions.complete_unfenced(
                update.job_id, Status.COMPLETED, update.result or {}, None, now
            )
        case Status.FAILED, None:
            return transitions.complete_unfenced(
                update.job_id, Status.FAILED, None, update.failure or UNEXPLAINED, now
            )
        case Status.QUEUED, None:
            raise invalid("token", "guard.required", "is required with status queued")
        case _, Claim():
            raise invalid(
                "claim", "guard.fits_status", f"goes with status processing, not {update.status.value}"
            )
        case _:
            raise invalid("token", "guard.fits_status", f"does not go with status {update.status.value}")


UNEXPLAINED = Failure(code=2, message="", reason="UNKNOWN")
"""For a failure that was reported without an error; 2 is google.rpc.Code.UNKNOWN."""


def _failure(update: StatusUpdate, worker_id: str, attempt: int, given: UpdateContext) -> Transition:
    """The failure ends the job, or the job waits for another try."""
    failure, failures = update.failure or UNEXPLAINED, given.tries.failures
    if not update.may_be_tried_again:
        return transitions.fail(update.job_id, worker_id, attempt, failure, given.now)
    wait = wait_before_next_try(given.tries, update.hint or FailureHint(), given.chance)
    if wait is None:
        return transitions.fail(update.job_id, worker_id, attempt, failure, given.now, failures)
    return transitions.try_again(update.job_id, worker_id, attempt, failure, given.now, failures, wait)


def _check_outcome(update: StatusUpdate) -> None:
    if update.result is not None and update.status is not Status.COMPLETED:
        raise invalid(
            "result", "result.fits_status", f"goes with status completed, not {update.status.value}"
        )
    if update.failure is not None and update.status is not Status.FAILED:
        raise invalid("error", "error.fits_status", f"goes with status failed, not {update.status.value}")
    if update.hint is not None and not (update.status is Status.FAILED and isinstance(update.guard, Token)):
        raise invalid("failure_hint", "failure_hint.fits_status", "goes with status failed and a token")
