"""The table of jobs in flight: jobs that this worker is claiming or holds.

It never claims such a job a second time.
"""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.lanes import Lane
from worker_service.claiming.suspects import Suspects
from worker_service.kafka.offsets import Partition, Ticket

MAX_LARGE = 32
"""Jobs in flight whose payload was too large for the record. A payload is 1 MiB at most."""


@dataclass(slots=True)
class Claiming:
    """A job whose claim has no answer yet, and all records of it that came meanwhile."""

    record: DispatchRecord
    lane: Lane
    tickets: list[Ticket] = field(default_factory=list)
    size: int = 0
    """Bytes of the record."""
    alone: bool = False
    """Whether no other job is in flight, and no other job is claimed for a while."""


@dataclass(frozen=True, slots=True, eq=False)
class Claimed:
    """A job that this worker holds. `attempt` and the worker's id are the fencing token."""

    record: DispatchRecord
    lane: Lane
    attempt: int

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def type(self) -> str:
        return self.record.type


class InFlightJobs:
    """Jobs by id. A job is in at most one of `claiming` and `held`.

    A record that was published after our claim is a successor. It shows that our claim has ended, so it goes
    back into its lane as soon as the job is removed from here.
    """

    def __init__(self, suspects: Suspects) -> None:
        self.claiming: dict[str, Claiming] = {}
        self.held: dict[str, Claimed] = {}
        self.suspects = suspects
        """The suspects among these jobs."""
        self.large = 0
        """How many of these jobs have a payload that the record did not carry."""
        self._successors: defaultdict[str, list[WaitingRecord]] = defaultdict(list)

    def begin_claiming(self, claiming: Claiming) -> None:
        """The claim of a job is about to be sent."""
        self.claiming[claiming.record.id] = claiming
        self.large += claiming.record.payload_omitted

    def move_to_held(self, claimed: Claimed) -> None:
        """The claim of a job was accepted."""
        del self.claiming[claimed.id]
        self.held[claimed.id] = claimed

    def add_successor(self, waiting: WaitingRecord) -> None:
        """Keep a record until its job is removed from here."""
        self._successors[waiting.record.id].append(waiting)

    def has_successor(self, job_id: str) -> bool:
        """Whether a job was published again after its claim."""
        return job_id in self._successors

    def drop_successors(self, partitions: AbstractSet[Partition]) -> None:
        """Forget the records of `partitions`. Their next owner polls them again."""
        for job_id, successors in list(self._successors.items()):
            kept = [waiting for waiting in successors if waiting.ticket.partition not in partitions]
            if kept:
                self._successors[job_id] = kept
            else:
                del self._successors[job_id]

    def remove(self, job: Claiming | Claimed) -> None:
        """The claim of a job was refused or lost, or its outcome has been reported."""
        table = self.claiming if isinstance(job, Claiming) else self.held
        del table[job.record.id]
        self.suspects.remove(job.record.id)
        self.large -= job.record.payload_omitted
        job.lane.release()
        for waiting in self._successors.pop(job.record.id, ()):
            job.lane.add(waiting)
