"""What the clients tell about types, workers, logs and operations: each class has the fields of a message.

The contract (proto/jobs/v1/) describes each field. Times are aware datetimes in UTC. None: not set.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of durations."""

    p50: timedelta | None
    p95: timedelta | None
    p99: timedelta | None


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened to the jobs of one type in some time."""

    type: str
    created: int
    started: int
    completed: int
    failed: int
    cancelled: int
    start_latency: Latency | None
    run_latency: Latency | None


@dataclass(frozen=True, slots=True)
class MinuteStats:
    """What happened in one minute."""

    start_time: datetime | None
    activities: tuple[Activity, ...]


@dataclass(frozen=True, slots=True)
class TypeStats:
    """The jobs of one type in numbers. A number with a `_capped` of True is a lower bound."""

    type: str
    queued: int
    queued_capped: bool
    processing: int
    processing_capped: bool
    oldest_waiting: timedelta | None
    oldest_waiting_capped: bool
    completed_total: float
    failed_total: float
    cancelled_total: float
    last_hour: Activity | None
    has_worker: bool


@dataclass(frozen=True, slots=True)
class Stats:
    """The jobs in numbers, by type, and the last 60 minutes."""

    types: tuple[TypeStats, ...]
    minutes: tuple[MinuteStats, ...]


@dataclass(frozen=True, slots=True)
class JobType:
    """One job type as of now. A schema is a JSON Schema, None: the handlers declare none."""

    type: str
    accepted: bool
    live_workers: int
    worker_names: tuple[str, ...]
    stopped: bool
    waiting: int
    waiting_capped: bool
    payload_schema: dict[str, Any] | None
    result_schema: dict[str, Any] | None
    schema_problem: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that keeps a job from running."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a job does not run now, and what happens next."""

    reason: str
    message: str
    other_causes: tuple[Cause, ...]
    next: str
    next_time: datetime | None
    ahead: int | None
    ahead_capped: bool
    worker_id: str
    start_time: datetime | None
    lease_expire_time: datetime | None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line that a handler logged or printed (`kind` line), or the trace of an error (`kind` trace)."""

    number: int
    time: datetime | None
    kind: str
    attempt: int
    worker_id: str
    level: str
    logger: str
    message: str


@dataclass(frozen=True, slots=True)
class Log:
    """The latest entries of a job's log, oldest first. `dropped`: how many are not kept."""

    entries: tuple[LogEntry, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs an operation changes."""

    statuses: tuple[str, ...]
    types: tuple[str, ...]
    labels: tuple[str, ...]
    label_keys: tuple[str, ...]
    error_reasons: tuple[str, ...]
    worker_ids: tuple[str, ...]
    create_time_from: datetime | None
    create_time_before: datetime | None
    end_time_from: datetime | None
    end_time_before: datetime | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an operation could not change a job."""

    job_id: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A change of many jobs. After a dry run `id` is "", and `matched` is what would be tried."""

    id: str
    kind: str
    state: str
    filter: Filter | None
    reason: str
    create_time: datetime | None
    update_time: datetime | None
    end_time: datetime | None
    matched: int
    matched_capped: bool
    changed: int
    refused: int
    refusals: tuple[Refusal, ...]

    @property
    def has_ended(self) -> bool:
        return self.state in {"finished", "cancelled", "failed"}


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """One worker process. A worker of an earlier version tells no `start_time`, and its `version` is ""."""

    worker_id: str
    name: str
    host: str
    pid: int
    types: tuple[str, ...]
    start_time: datetime | None
    version: str


@dataclass(frozen=True, slots=True)
class AssignedPartitions:
    """The partitions of one topic that a worker consumes."""

    topic: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker reported with its last heartbeat."""

    state: str
    assignments: tuple[AssignedPartitions, ...]
    in_flight: int
    completed_total: int
    failed_total: int
    fleet_revision: int
    busy_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker and its last report."""

    identity: WorkerIdentity
    report: WorkerReport
    last_heartbeat_time: datetime | None


@dataclass(frozen=True, slots=True)
class Fleet:
    """All workers, and what is stopped.

    `workers_omitted`: how many more there are, whose reports are too large for one answer.
    """

    consuming: bool
    workers: tuple[Worker, ...]
    stopped_workers: tuple[str, ...]
    stopped_types: tuple[str, ...]
    workers_omitted: int = 0


@dataclass(frozen=True, slots=True)
class FleetChange:
    """What is stopped after `start` or `stop`, and which live workers had not confirmed it yet."""

    consuming: bool
    pending_worker_ids: tuple[str, ...]
    stopped_workers: tuple[str, ...]
    stopped_types: tuple[str, ...]
