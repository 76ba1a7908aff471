"""What became of a transition whose write did not match, told from the job as it was read afterwards."""

from api_server.domain.attempt import Outcome
from api_server.domain.errors import JobNotFound, TransitionRefused
from api_server.domain.job import Job, Status
from api_server.domain.transition import Transition
from contract_runtime.value import value


@value
class Applied:
    """A transition that holds: the job's status and attempt after it. `attempt` None: not known without a read."""

    status: Status
    attempt: int | None


@value
class Eligible:
    """Nothing is decided: the write may be sent again."""


Judgement = Applied | Eligible | JobNotFound | TransitionRefused


def resolve(transition: Transition, job: Job | None) -> Judgement:
    """What became of `transition`, given the job as read after a write that did not match; an error says why not."""
    if job is None:
        return JobNotFound(transition.job_id)
    status = applied_status(transition, job)
    if status is not None:
        return Applied(status, transition.attempt_after)
    if transition.guard.admits(job):
        return Eligible()
    reason, message = _refusal(transition, job)
    metadata = {"id": str(job.id), "status": job.status.value, "attempt": str(job.attempt)}
    return TransitionRefused(reason, f"job {job.id} {message}", metadata)


def applied_status(transition: Transition, job: Job) -> Status | None:
    """The status that this step led to, if `job` shows that it was taken before; None if not."""
    guard, change = transition.guard, transition.change
    if guard.call is not None:
        return change.status if guard.call.was_done(job) else None
    if transition.reports_failure:
        return _failure_taken(transition, job)
    worker_id = guard.worker_id if change.worker_id is None else change.worker_id
    is_as_left = (
        guard.type in (None, job.type)
        and job.status is change.status
        and worker_id in (None, job.worker_id)
        and transition.attempt_after in (None, job.attempt)
        and transition.claim_id in ("", job.claim_id)
        and job.result == transition.result
        and job.error == transition.failure
    )
    return change.status if is_as_left else None


def _failure_taken(transition: Transition, job: Job) -> Status | None:
    """The job's history tells, also when another decision about trying again would be made now."""
    failure = transition.failure
    for attempt in job.history:
        if (
            (attempt.number, attempt.worker_id) == (transition.guard.attempt, transition.guard.worker_id)
            and attempt.outcome is Outcome.ERRORED
            and failure is not None
            and attempt.error is not None
            and attempt.error.shortened() == failure.shortened()
        ):
            return Status.QUEUED if attempt in job.past else Status.FAILED
    return None


def _refusal(transition: Transition, job: Job) -> tuple[str, str]:
    """The first reason that applies, and its words."""
    guard, change = transition.guard, transition.change
    fits = job.status in guard.statuses
    reasons = (
        (guard.type not in (None, job.type), "WRONG_TYPE", f"is of type {job.type}"),
        (
            guard.attempt is not None and job.attempt > (transition.attempt_after or 0),
            "ATTEMPT_SUPERSEDED",
            f"is at attempt {job.attempt}, later than the request's",
        ),
        (
            job.status.is_terminal and not fits,
            "JOB_TERMINAL",
            f"has ended: it is {job.status.value}",
        ),
        (
            _is_held_by_another(transition, job),
            "HELD_BY_WORKER",
            f"is held by worker {job.worker_id} at attempt {job.attempt}",
        ),
        (
            guard.attempt is not None and (job.attempt != guard.attempt or bool(guard.worker_id)),
            "ATTEMPT_SUPERSEDED",
            f"is {job.status.value} at attempt {job.attempt}; the request's ground is gone",
        ),
        (
            fits and guard.unexpired_at is not None and job.is_expired(guard.unexpired_at),
            "EXPIRED",
            f"has expired: its expire_time is {job.expire_time}",
        ),
        (
            fits and guard.startable_at is not None and job.is_waiting(guard.startable_at),
            "NOT_DUE",
            f"is not to be started yet: its next_attempt_time is {job.next_attempt_time}",
        ),
    )
    illegal = f"is {job.status.value} and cannot become {change.status.value} now"
    return next(
        ((reason, words) for applies, reason, words in reasons if applies), ("ILLEGAL_TRANSITION", illegal)
    )


def _is_held_by_another(transition: Transition, job: Job) -> bool:
    """Whether a worker's hold is what stands in the way: not where the step wants a job that has ended."""
    guard, change = transition.guard, transition.change
    return (
        job.status is Status.PROCESSING
        and bool(job.worker_id)
        and job.worker_id != (guard.worker_id or change.worker_id)
        and not all(status.is_terminal for status in guard.statuses)
    )
