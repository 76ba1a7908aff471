"""A worker's shared state, a clock, and stand-ins for the parts that take its jobs and records."""

import time
from collections.abc import Callable, Mapping

from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from worker_service.claiming.in_flight import Claimed
from worker_service.claiming.ports import ClaimedJobs
from worker_service.claiming.worker_state import WorkerState
from worker_service.kafka.offsets import Ticket
from worker_service.kafka.ports import FinishedRecords


def worker_state(
    lane_limits: Mapping[str, int] | None = None,
    clock: Callable[[], float] = time.monotonic,
    lane_names: Mapping[str, str] | None = None,
) -> WorkerState:
    """The state of a worker with the name `test`."""
    identity = WorkerIdentity(worker_id="test/1", name="test")
    return WorkerState(identity, lane_limits or {}, clock, lane_names or {})


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class JobsTaken(ClaimedJobs):
    """Notes the jobs that it takes, and runs none."""

    def __init__(self) -> None:
        self.started: list[Claimed] = []
        self.given_up: list[Claimed] = []

    @property
    def started_ids(self) -> list[str]:
        return [claimed.id for claimed in self.started]

    def start(self, claimed: Claimed) -> None:
        self.started.append(claimed)

    def give_up(self, claimed: Claimed) -> None:
        self.given_up.append(claimed)


class RecordsTaken(FinishedRecords):
    """Notes the offsets of finished records."""

    def __init__(self) -> None:
        self.finished: list[int] = []

    def finish(self, ticket: Ticket) -> None:
        self.finished.append(ticket.offset)
