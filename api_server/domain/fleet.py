"""The workers and what they are wished to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from contract_runtime.errors import invalid

MAX_STOPPED = 1000
"""Workers, and job types, that can be stopped by their names at a time: every heartbeat is answered with them all."""


@dataclass(frozen=True, slots=True)
class OneWorker:
    """A part of the fleet: the worker of this name, now and after restarts."""

    name: str


@dataclass(frozen=True, slots=True)
class OneType:
    """A part of the fleet: all workers, for jobs of this type."""

    type: str


Part = OneWorker | OneType


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all workers shall do; `revision` counts changes of the wish. The stops of parts are ascending."""

    consuming: bool = True
    revision: int = 0
    stopped_workers: tuple[str, ...] = ()
    stopped_types: tuple[str, ...] = ()

    @property
    def stops_anything(self) -> bool:
        """Whether there are claims that it forbids."""
        return not self.consuming or bool(self.stopped_workers or self.stopped_types)

    def stop_of(self, worker_id: str, job_type: str | None) -> str | None:
        """Why a worker must not take jobs of a type now, as a stable reason; None: it may. `job_type` None: it is not known."""
        if not self.consuming:
            return "FLEET_STOPPED"
        if worker_id.rpartition("/")[0] in self.stopped_workers:
            return "WORKER_STOPPED"
        return "TYPE_STOPPED" if job_type in self.stopped_types else None

    def wished(self, consuming: bool, part: Part | None) -> "Fleet":
        """The wish after `part`, or None for all, shall consume or not; itself if that is so already.

        To let all consume clears the stops of all parts. Raises InvalidArgument above MAX_STOPPED.
        """
        match part:
            case OneWorker(name):
                stopped = _with(self.stopped_workers, name, stopped=not consuming, field="part.worker")
                desired = replace(self, stopped_workers=stopped)
            case OneType(job_type):
                stopped = _with(self.stopped_types, job_type, stopped=not consuming, field="part.type")
                desired = replace(self, stopped_types=stopped)
            case None if consuming:
                desired = Fleet(revision=self.revision)
            case None:
                desired = replace(self, consuming=False)
        return self if desired == self else replace(desired, revision=self.revision + 1)


def _with(names: tuple[str, ...], name: str, *, stopped: bool, field: str) -> tuple[str, ...]:
    changed = set(names) | {name} if stopped else set(names) - {name}
    if stopped and len(changed) > MAX_STOPPED:
        raise invalid(field, "part.max_stopped", f"must not be one more than {MAX_STOPPED} that are stopped")
    return tuple(sorted(changed))


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
    """What a worker says of itself: state is `consuming`, `paused` or `draining`; said of it: `lost` once it has gone silent,
    `idle` while it consumes without a partition.
    """

    state: str = "unspecified"
    assignments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    in_flight: int = 0
    completed_total: int = 0
    failed_total: int = 0
    fleet_revision: int = 0


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker that has a name; `predecessor` is the worker_id from which it took the name over, "" if from none."""

    identity: WorkerIdentity
    report: WorkerReport
    last_heartbeat_time: datetime
    predecessor: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether it has said that it is shutting down and that nothing is left in its hand."""
        return self.report.state == "draining" and self.report.in_flight == 0
