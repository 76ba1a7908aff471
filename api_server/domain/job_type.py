"""The state of each job type: who runs it, whether it is stopped, and how many jobs wait. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from api_server.domain.fleet import Fleet, Worker

MAX_COUNTED = 10_000
"""How many queued jobs of a type are counted."""
MAX_TYPES = 1000
"""How many types are listed."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A number of queued jobs. `is_capped`: there are more than were counted."""

    count: int = 0
    is_capped: bool = False

    @classmethod
    def of(cls, counted: int) -> "Waiting":
        """`counted`: up to MAX_COUNTED + 1."""
        return cls(min(counted, MAX_COUNTED), counted > MAX_COUNTED)


@dataclass(frozen=True, slots=True)
class TypeState:
    """One job type. `worker_names`: of the live workers that run it, in order."""

    type: str
    accepted: bool
    worker_names: tuple[str, ...]
    stopped: bool
    waiting: Waiting

    @property
    def lacks_worker(self) -> bool:
        """Whether jobs wait, and no live worker runs them."""
        return self.waiting.count > 0 and not self.worker_names


def type_states(
    accepted: Collection[str], workers: Sequence[Worker], fleet: Fleet, waiting: Mapping[str, Waiting]
) -> list[TypeState]:
    """All types that anybody knows, in order, at most MAX_TYPES.

    `workers`: with their states as readers see them, so `lost` for a silent worker.
    """
    live = [each for each in workers if each.report.state not in ("lost", "draining")]
    names: dict[str, list[str]] = {}
    for worker in live:
        for job_type in worker.identity.types:
            names.setdefault(job_type, []).append(worker.identity.name)
    known = sorted({*accepted, *names, *fleet.stopped_types, *waiting})[:MAX_TYPES]
    return [
        TypeState(
            job_type,
            job_type in accepted,
            tuple(sorted(names.get(job_type, ()))),
            _is_stopped(job_type, names.get(job_type, ()), fleet),
            waiting.get(job_type, Waiting()),
        )
        for job_type in known
    ]


def _is_stopped(job_type: str, worker_names: Collection[str], fleet: Fleet) -> bool:
    if not fleet.consuming or job_type in fleet.stopped_types:
        return True
    return bool(worker_names) and set(worker_names) <= set(fleet.stopped_workers)
