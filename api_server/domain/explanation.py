"""Why a job does not run now, and what happens next: from facts to an explanation. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from api_server.domain.attempt import MAX_LONE_LOSSES
from api_server.domain.fleet import Worker
from api_server.domain.job import Job, Status
from api_server.domain.job_facts import Ahead, Facts
from api_server.domain.obstacles import Cause, Reason, lasting_obstacles, passing_obstacles

NEXT = {
    Reason.FLEET_STOPPED: "Workers take jobs again after Start of the whole fleet.",
    Reason.TYPE_STOPPED: "Workers take the job after Start of the type {type}.",
    Reason.NO_WORKER: "A worker that takes jobs of the type {type} claims the job after it has started.",
    Reason.WORKERS_STOPPED: "A worker claims the job after Start of one of them, or when another one starts.",
    Reason.NO_PARTITION: "Kafka assigns the partition to a worker, usually within seconds.",
    Reason.SUSPECT: "A worker claims the job once it has no other job in flight.",
    Reason.WORKERS_BUSY: "A worker claims the job when a slot is free and no other job comes first.",
    Reason.JOBS_AHEAD: "A worker claims the job after those that come first.",
    Reason.DISPATCHING: "A worker claims the job when it has read its record.",
}
"""What happens next to a queued job, by what keeps it from running."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """`causes`: at least one, each reason at most once, the most important first.

    `next_time`: when `next` happens at the latest; None: it depends on something without a set time.
    """

    causes: tuple[Cause, ...]
    next: str
    next_time: datetime | None = None
    ahead: Ahead | None = None
    worker_id: str = ""
    start_time: datetime | None = None
    lease_end: datetime | None = None


def explain(facts: Facts) -> Explanation:
    """Explain a job."""
    job = facts.inspected.job
    match job.status:
        case Status.QUEUED:
            return _queued(facts)
        case Status.PROCESSING:
            return _processing(facts)
        case _:
            return _ended(job)


def _ended(job: Job) -> Explanation:
    reason = f", with the reason {job.error.reason}" if job.error is not None else ""
    end = f" at {_text(job.end_time)}" if job.end_time is not None else ""
    message = f"The job has ended as {job.status.value}{end}{reason}."
    after = "Nothing." if job.status is Status.COMPLETED else "Nothing, unless Retry queues it again."
    return Explanation((Cause(Reason.ENDED, message),), after)


def _processing(facts: Facts) -> Explanation:
    job, lease_end = facts.inspected.job, facts.inspected.due_time
    since = f" since {_text(job.start_time)}" if job.start_time is not None else ""
    until = f"at {_text(lease_end)}" if lease_end is not None else "when its claim ends"
    if not job.worker_id:
        message = f"A caller without a worker's name holds the job{since} (attempt {job.attempt})."
        cause = Cause(Reason.CLAIMED_WITHOUT_WORKER, message)
        after = (
            f"The caller reports the outcome with UpdateStatus. Otherwise the job is queued again {until}."
        )
    elif silent := _silent(job.worker_id, facts.workers):
        message = (
            f"Worker {job.worker_id} holds the job{since} (attempt {job.attempt}), "
            f"but its last heartbeat was at {_text(silent.last_heartbeat_time)}."
        )
        cause = Cause(Reason.WORKER_LOST, message)
        after = f"If the worker stays silent, the lease ends {until}, and the job {_after_loss(facts)}."
    else:
        message = f"Worker {job.worker_id} holds the job{since} (attempt {job.attempt})."
        cause = Cause(Reason.RUNNING, message)
        after = (
            "The worker runs the job and reports the outcome. "
            f"If no heartbeat extends the lease, it ends {until}, and the job {_after_loss(facts)}."
        )
    return Explanation(
        (cause,),
        after,
        lease_end,
        worker_id=job.worker_id,
        start_time=job.start_time,
        lease_end=lease_end,
    )


def _silent(worker_id: str, workers: Sequence[Worker]) -> Worker | None:
    """The worker with this id, if it is lost."""
    return next(
        (each for each in workers if each.identity.worker_id == worker_id and each.report.state == "lost"),
        None,
    )


def _after_loss(facts: Facts) -> str:
    """What happens to a job whose worker is lost."""
    is_last = facts.inspected.alone and facts.inspected.job.lone_losses + 1 >= MAX_LONE_LOSSES
    return "fails with the reason POISON" if is_last else "is queued again"


def _queued(facts: Facts) -> Explanation:
    job = facts.inspected.job
    if job.expire_time is not None and job.is_expired(facts.now):
        message = f"The job must not start any more: its expire_time {_text(job.expire_time)} has passed."
        after = "An API server fails it with the reason EXPIRED within a moment."
        return Explanation((Cause(Reason.EXPIRED, message),), after, facts.inspected.due_time)
    if job.next_attempt_time is not None and job.is_waiting(facts.now):
        return _waiting(facts, job.next_attempt_time)
    return _ready(facts)


def _waiting(facts: Facts, start: datetime) -> Explanation:
    job = facts.inspected.job
    if start == job.schedule_time:
        cause = Cause(Reason.SCHEDULED, f"The job waits until its schedule_time {_text(start)}.")
    else:
        message = (
            f"The handler has failed {job.failures} times of at most {job.retry_policy.max_attempts}. "
            f"The job waits until {_text(start)} for its next try."
        )
        cause = Cause(Reason.RETRY_BACKOFF, message)
    causes = (cause, *lasting_obstacles(facts))
    if job.expire_time is not None and job.expire_time <= start:
        after = f"The job fails with the reason EXPIRED at {_text(job.expire_time)}, before it may start."
        return Explanation(causes, after, job.expire_time)
    return Explanation(causes, f"The job is dispatched to the workers at {_text(start)}.", start)


def _ready(facts: Facts) -> Explanation:
    job = facts.inspected.job
    obstacles = (*lasting_obstacles(facts), *passing_obstacles(facts))
    causes = obstacles or (Cause(Reason.DISPATCHING, "The job is on its way to a worker."),)
    after, after_time = NEXT[causes[0].reason].format(type=job.type), None
    if causes[0].reason is Reason.DISPATCHING and facts.inspected.due_time is not None:
        after_time = facts.inspected.due_time
        after += f" If none has by {_text(after_time)}, an API server looks whether the record is gone."
    if job.expire_time is not None:
        after += f" If the job still waits at {_text(job.expire_time)}, it fails with the reason EXPIRED."
        after_time = min(after_time or job.expire_time, job.expire_time)
    return Explanation(causes, after, after_time, facts.ahead)


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
