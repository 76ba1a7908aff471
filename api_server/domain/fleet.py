"""The workers and what they are wished to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all workers shall do; `revision` counts changes of the wish."""

    consuming: bool = True
    revision: int = 0


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """One worker process; `worker_id` is unique for each process start."""

    worker_id: str
    name: str
    host: str
    pid: int
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says of itself: state is `consuming`, `paused`, `draining`, or `lost` once it has gone silent."""

    state: str = "unspecified"
    assignments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    in_flight: int = 0
    completed_total: int = 0
    failed_total: int = 0
    fleet_revision: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker as stored."""

    identity: WorkerIdentity
    report: WorkerReport
    last_heartbeat_time: datetime
