"""The workers, and their desired state: who may claim jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from contract_runtime.errors import invalid

MAX_STOPPED = 1000
"""How many workers, and how many job types, can be stopped by name at a time.

The answer to every heartbeat lists them all.
"""


@dataclass(frozen=True, slots=True)
class OneWorker:
    """A part of the fleet: the worker with this name, now and after a restart."""

    name: str


@dataclass(frozen=True, slots=True)
class OneType:
    """A part of the fleet: all workers, but only for jobs of this type."""

    type: str


Part = OneWorker | OneType


@dataclass(frozen=True, slots=True)
class Fleet:
    """The desired state of all workers.

    `revision` counts its changes. Stopped names are in ascending order.
    """

    consuming: bool = True
    revision: int = 0
    stopped_workers: tuple[str, ...] = ()
    stopped_types: tuple[str, ...] = ()

    @property
    def stops_anything(self) -> bool:
        """Whether it forbids any claim."""
        return not self.consuming or bool(self.stopped_workers or self.stopped_types)

    def stop_of(self, worker_id: str, job_type: str | None) -> str | None:
        """The stable reason why a worker must not claim jobs of a type now; None: it may.

        `job_type` None: not known.
        """
        if not self.consuming:
            return "FLEET_STOPPED"
        if worker_id.rpartition("/")[0] in self.stopped_workers:
            return "WORKER_STOPPED"
        return "TYPE_STOPPED" if job_type in self.stopped_types else None

    def with_consuming(self, consuming: bool, part: Part | None) -> "Fleet":
        """The desired state in which `part` consumes, or does not; self if nothing changes. `part` None: the
        whole fleet.

        Starting the whole fleet clears the stops of all parts. Raises InvalidArgument if more than
        MAX_STOPPED names would be stopped.
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
        raise invalid(field, "part.max_stopped", f"cannot be stopped: {MAX_STOPPED} are stopped already")
    return tuple(sorted(changed))


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """One worker process. `worker_id` is unique for each start of a process.

    `schema_ids`: of the types for which it has declared a schema. `start_time` and `version` are None and ""
    for a worker of an earlier version.
    """

    worker_id: str
    name: str
    host: str
    pid: int
    types: tuple[str, ...]
    schema_ids: Mapping[str, str] = field(default_factory=dict)
    start_time: datetime | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker reports of itself.

    `state`: `consuming`, `paused` or `draining`, as the worker reports; readers are shown `lost` for a worker
    that sends no heartbeats, and `idle` for one that consumes but has no partition. `busy_types`: the types
    for which it has no free slot.
    """

    state: str = "unspecified"
    assignments: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    in_flight: int = 0
    completed_total: int = 0
    failed_total: int = 0
    fleet_revision: int = 0
    busy_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Worker:
    """The worker that has a name. `predecessor`: the worker_id that had the name before; "" if none.

    `session`: the hash of the secret that its calls carry; "": it has none, as workers of earlier versions.
    Never shown to readers.
    """

    identity: WorkerIdentity
    report: WorkerReport
    last_heartbeat_time: datetime
    predecessor: str = ""
    session: str = field(default="", repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether it has reported that it is shutting down and holds no job any more."""
        return self.report.state == "draining" and self.report.in_flight == 0
