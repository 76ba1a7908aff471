"""How a transition is resolved whose write matched no job, from the job as it was read afterwards."""

from dataclasses import field

from api_server.domain.attempt import Attempt, Outcome
from api_server.domain.errors import JobNotFound, TransitionRefused
from api_server.domain.job import Job, Status
from api_server.domain.transition import Transition
from contract_runtime.value import value


@value
class Applied:
    """The transition was applied.

    `status` and `attempt`: the job's after it; `attempt` None: only a read would tell. `job`: the whole job
    after it, if the caller wanted it and the write has returned it.
    """

    status: Status
    attempt: int | None
    is_replay: bool = field(default=False, compare=False)
    """An earlier call has made this change, and this one has changed nothing. False also if this is not
    known. Not compared, because the job is the same either way.
    """
    job: Job | None = field(default=None, compare=False)


@value
class Eligible:
    """The transition was neither applied nor refused: the write may be sent again."""


Resolution = Applied | Eligible | JobNotFound | TransitionRefused


def resolve(transition: Transition, job: Job | None) -> Resolution:
    """The resolution of `transition`, given the job as read after a write that did not match; None: there is
    no job.
    """
    if job is None:
        return JobNotFound(transition.job_id)
    status = applied_status(transition, job)
    if status is not None:
        return Applied(status, transition.attempt_after, _is_replay(transition, job))
    if transition.guard.admits(job) and transition.fits_content(job):
        return Eligible()
    reason, message = _refusal(transition, job)
    metadata = {"id": str(job.id), "status": job.status.value, "attempt": str(job.attempt)}
    return TransitionRefused(reason, f"job {job.id} {message}", metadata)


def applied_status(transition: Transition, job: Job) -> Status | None:
    """The status after the transition, if `job` shows that it was applied before; None if not."""
    guard, change = transition.guard, transition.change
    if guard.call is not None:
        return change.status if guard.call.was_done(job) else None
    if transition.reports_failure:
        return _status_after_failure(transition, job)
    worker_id = guard.worker_id if change.worker_id is None else change.worker_id
    is_as_written = (
        guard.type in (None, job.type)
        and job.status is change.status
        and worker_id in (None, job.worker_id)
        and transition.attempt_after in (None, job.attempt)
        and transition.claim_id in ("", job.claim_id)
        and job.result == transition.result
        and job.error == transition.failure
    )
    return change.status if is_as_written else None


def _is_replay(transition: Transition, job: Job) -> bool:
    """Whether the change, which `job` shows, has another time than this call would have written.

    The write of this call may have been sent more than once, always with the same time. So another time means
    another call. Changes without a time of their own, and those of Cancel and Retry, show nothing.
    """
    change = transition.change
    if transition.guard.call is not None:
        return False
    if transition.reports_failure:
        attempt = _reported_attempt(transition, job)
        return attempt is not None and attempt.end_time != change.update_time
    if change.end_time is not None:
        return job.end_time != change.end_time
    return change.start_time is not None and job.start_time != change.start_time


def _status_after_failure(transition: Transition, job: Job) -> Status | None:
    """The status that the report led to, as the job's history shows.

    It is not decided again: the new decision about another try could differ from the one that was applied.
    """
    attempt = _reported_attempt(transition, job)
    if attempt is None:
        return None
    return Status.QUEUED if attempt in job.past else Status.FAILED


def _reported_attempt(transition: Transition, job: Job) -> Attempt | None:
    """The attempt that ended by the reported failure; None: the history shows none."""
    failure = transition.failure
    for attempt in job.history:
        if (
            (attempt.number, attempt.worker_id) == (transition.guard.attempt, transition.guard.worker_id)
            and attempt.outcome is Outcome.ERRORED
            and failure is not None
            and attempt.error is not None
            and attempt.error.shortened() == failure.shortened()
        ):
            return attempt
    return None


def _refusal(transition: Transition, job: Job) -> tuple[str, str]:
    """The reason of the first check that fails, and its message."""
    for check in (_refusal_by_holder, _refusal_by_time, _refusal_by_content):
        if (refusal := check(transition, job)) is not None:
            return refusal
    return (
        "ILLEGAL_TRANSITION",
        f"is {job.status.value} and cannot become {transition.change.status.value} now",
    )


def _refusal_by_holder(transition: Transition, job: Job) -> tuple[str, str] | None:
    """The job is in another state than the request expects, or another worker holds it."""
    guard = transition.guard
    if guard.type not in (None, job.type):
        return "WRONG_TYPE", f"is of type {job.type}"
    if guard.attempt is not None and job.attempt > (transition.attempt_after or 0):
        return "ATTEMPT_SUPERSEDED", f"is at attempt {job.attempt}, which is later than the request's"
    if job.status.is_terminal and job.status not in guard.statuses:
        return "JOB_TERMINAL", f"has ended: it is {job.status.value}"
    if _is_held_by_another(transition, job):
        return "HELD_BY_WORKER", f"is held by worker {job.worker_id} at attempt {job.attempt}"
    if guard.attempt is not None and (job.attempt != guard.attempt or guard.worker_id):
        message = f"is {job.status.value} at attempt {job.attempt}, which the request does not expect"
        return "ATTEMPT_SUPERSEDED", message
    return None


def _refusal_by_time(transition: Transition, job: Job) -> tuple[str, str] | None:
    guard = transition.guard
    if job.status not in guard.statuses:
        return None
    if guard.unexpired_at is not None and job.is_expired(guard.unexpired_at):
        return "EXPIRED", f"has expired: its expire_time is {job.expire_time}"
    if guard.startable_at is not None and job.is_waiting(guard.startable_at):
        return "NOT_DUE", f"must not start yet: its next_attempt_time is {job.next_attempt_time}"
    return None


def _refusal_by_content(transition: Transition, job: Job) -> tuple[str, str] | None:
    if job.status not in transition.guard.statuses or transition.fits_content(job):
        return None
    return "RECORD_MISMATCH", "has another content than the record that the request was made from"


def _is_held_by_another(transition: Transition, job: Job) -> bool:
    """Whether another worker holds the job.

    This does not count if the transition needs a job that has ended.
    """
    guard, change = transition.guard, transition.change
    return (
        job.status is Status.PROCESSING
        and bool(job.worker_id)
        and job.worker_id != (guard.worker_id or change.worker_id)
        and not all(status.is_terminal for status in guard.statuses)
    )
