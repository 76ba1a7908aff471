"""What a caller of UpdateStatus asks for, and which transition that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from api_server.domain import transitions
from api_server.domain.job import Failure, Status
from api_server.domain.transitions import Transition
from service_runtime.errors import invalid


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker takes the job if it had exactly `expected_attempt` claims."""

    worker_id: str
    expected_attempt: int
    expected_type: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """The fencing token: its owner holds `attempt`."""

    worker_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Step:
    """One job to be moved to `status`, on the given ground."""

    job_id: UUID
    status: Status
    ground: Claim | Token | None = None
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Leases:
    """How long a claim is held: by a worker that sends heartbeats, and by somebody without a worker's name."""

    worker: timedelta
    unfenced: timedelta


def to_transition(  # noqa: PLR0911 - one line for each row of the table that it is
    step: Step, now: datetime, leases: Leases, claim_id: str
) -> Transition:
    """The transition that `step` asks for; `claim_id` tells this claim from others if it names no worker.

    Raises InvalidArgument if the status, the ground and the outcome do not fit together.
    """
    _check_outcome(step)
    match step.status, step.ground:
        case Status.PROCESSING, Claim(worker_id, attempt, job_type):
            return transitions.claim(step.job_id, worker_id, attempt, now, leases.worker, job_type)
        case Status.PROCESSING, None:
            return transitions.take(step.job_id, claim_id, now, leases.unfenced)
        case Status.COMPLETED, Token(worker_id, attempt):
            return transitions.complete(step.job_id, worker_id, attempt, step.result or {}, now)
        case Status.FAILED, Token(worker_id, attempt):
            return transitions.fail(step.job_id, worker_id, attempt, step.failure or UNEXPLAINED, now)
        case Status.QUEUED, Token(worker_id, attempt):
            return transitions.hand_back(step.job_id, worker_id, attempt, now)
        case Status.COMPLETED, None:
            return transitions.conclude(step.job_id, Status.COMPLETED, step.result or {}, None, now)
        case Status.FAILED, None:
            return transitions.conclude(step.job_id, Status.FAILED, None, step.failure or UNEXPLAINED, now)
        case Status.QUEUED, None:
            raise invalid("token", "guard.required", "status queued needs the holder's token")
        case _, Claim():
            raise invalid(
                "claim", "guard.fits_status", f"goes with status processing, not {step.status.value}"
            )
        case _:
            raise invalid("token", "guard.fits_status", f"does not go with status {step.status.value}")


UNEXPLAINED = Failure(code=2, message="", reason="UNKNOWN")
"""For a failure that was reported without a word; 2 is google.rpc.Code.UNKNOWN."""


def _check_outcome(step: Step) -> None:
    if step.result is not None and step.status is not Status.COMPLETED:
        raise invalid("result", "result.fits_status", f"goes with status completed, not {step.status.value}")
    if step.failure is not None and step.status is not Status.FAILED:
        raise invalid("error", "error.fits_status", f"goes with status failed, not {step.status.value}")
