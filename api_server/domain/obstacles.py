"""What can keep a job from running, and which of it keeps a queued job that may start now. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from api_server.domain.fleet import Fleet, Worker
from api_server.domain.job_facts import Facts
from contract_runtime.topics import topic_of

LONE_LOSSES = 4
"""From this number of losses on, workers run a job alone. See DispatchRecord.losses in the contract."""
SHOWN_NAMES = 3
"""How many workers a sentence names."""


class Reason(StrEnum):
    """What keeps a job from running, by the contract's names."""

    ENDED = "ended"
    RUNNING = "running"
    WORKER_LOST = "worker_lost"
    CLAIMED_WITHOUT_WORKER = "claimed_without_worker"
    EXPIRED = "expired"
    SCHEDULED = "scheduled"
    RETRY_BACKOFF = "retry_backoff"
    FLEET_STOPPED = "fleet_stopped"
    TYPE_STOPPED = "type_stopped"
    NO_WORKER = "no_worker"
    WORKERS_STOPPED = "workers_stopped"
    NO_PARTITION = "no_partition"
    SUSPECT = "suspect"
    WORKERS_BUSY = "workers_busy"
    JOBS_AHEAD = "jobs_ahead"
    DISPATCHING = "dispatching"


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that keeps a job from running. `message`: a sentence for people."""

    reason: Reason
    message: str


def lasting_obstacles(facts: Facts) -> tuple[Cause, ...]:
    """What lasts until an operator starts something."""
    job_type, fleet = facts.inspected.job.type, facts.fleet
    causes: list[Cause] = []
    if not fleet.consuming:
        causes.append(Cause(Reason.FLEET_STOPPED, "All workers are stopped."))
    if job_type in fleet.stopped_types:
        causes.append(Cause(Reason.TYPE_STOPPED, f"Jobs of the type {job_type} are stopped."))
    able = _able(facts)
    if not able:
        causes.append(Cause(Reason.NO_WORKER, f"No live worker takes jobs of the type {job_type}."))
    elif not _allowed(able, fleet):
        message = f"All live workers that take jobs of the type {job_type} are stopped: {_names(able)}."
        causes.append(Cause(Reason.WORKERS_STOPPED, message))
    return tuple(causes)


def passing_obstacles(facts: Facts) -> tuple[Cause, ...]:
    """What passes by itself while workers work."""
    job, partition, ahead = facts.inspected.job, facts.inspected.partition, facts.ahead
    allowed = _allowed(_able(facts), facts.fleet)
    near = [each for each in allowed if _reads(each, job.type, partition)]
    causes: list[Cause] = []
    if allowed and not near:
        which = "a partition" if partition is None else f"partition {partition}"
        message = f"No worker that may take the job consumes {which} of the topic {topic_of(job.type)}."
        causes.append(Cause(Reason.NO_PARTITION, message))
    if job.losses >= LONE_LOSSES:
        message = f"{job.losses} workers were lost while they held the job, so it has to run alone."
        causes.append(Cause(Reason.SUSPECT, message))
    if near and all(job.type in each.report.busy_types for each in near):
        message = f"The workers that may take the job have no free slot for it: {_names(near)}."
        causes.append(Cause(Reason.WORKERS_BUSY, message))
    if ahead is not None and ahead.count:
        number = f"At least {ahead.count}" if ahead.is_capped else str(ahead.count)
        jobs = "job" if ahead.count == 1 else "jobs"
        causes.append(Cause(Reason.JOBS_AHEAD, f"{number} {jobs} of the type {job.type} may come first."))
    return tuple(causes)


def _able(facts: Facts) -> list[Worker]:
    """Live workers that take jobs of the type and do not shut down, by their names."""
    job_type = facts.inspected.job.type
    able = [
        each
        for each in facts.workers
        if job_type in each.identity.types and each.report.state not in ("lost", "draining")
    ]
    return sorted(able, key=lambda each: each.identity.name)


def _allowed(workers: Sequence[Worker], fleet: Fleet) -> list[Worker]:
    return [each for each in workers if each.identity.name not in fleet.stopped_workers]


def _reads(worker: Worker, job_type: str, partition: int | None) -> bool:
    """Whether it consumes this partition of the type's topic; None: any partition."""
    partitions = worker.report.assignments.get(topic_of(job_type), ())
    return bool(partitions) if partition is None else partition in partitions


def _names(workers: Sequence[Worker]) -> str:
    names = [each.identity.name for each in workers]
    shown = ", ".join(names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES} more"
