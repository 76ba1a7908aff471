"""The table of jobs that this worker is claiming or has in hand: none of them is ever claimed a second time."""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.lanes import Lane
from worker_service.claiming.suspects import Suspects
from worker_service.kafka.offsets import Partition, Ticket

MOST_LARGE = 32
"""Jobs in hand whose payloads were too large to travel in their records; a payload is 1 MiB at most."""


@dataclass(slots=True)
class Claiming:
    """A job whose claim has no answer yet, and all records of it that came meanwhile."""

    record: DispatchRecord
    lane: Lane
    tickets: list[Ticket] = field(default_factory=list)
    size: int = 0
    """Bytes of the record."""
    alone: bool = False
    """Whether nothing else is in hand, nor will be for a while."""


@dataclass(frozen=True, slots=True, eq=False)
class Claimed:
    """A job in hand. `attempt` is the fencing token's."""

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

    A record that was published after their claim is a successor: the claim has ended, whatever the worker thinks. It
    goes back into its lane when the job leaves the hand.
    """

    def __init__(self, suspects: Suspects | None = None) -> None:
        self.claiming: dict[str, Claiming] = {}
        self.held: dict[str, Claimed] = {}
        self.suspects = suspects or Suspects()
        """Those among them."""
        self.large = 0
        """How many of them have a payload that is still to be read."""
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
        """Keep a record until its job leaves the hand."""
        self._successors[waiting.record.id].append(waiting)

    def has_successor(self, job_id: str) -> bool:
        """Whether a job was published again after its claim."""
        return job_id in self._successors

    def drop_successors(self, partitions: AbstractSet[Partition]) -> None:
        """Forget the records of `partitions`: Kafka gives them to whoever has the partition next."""
        for job_id, successors in list(self._successors.items()):
            kept = [waiting for waiting in successors if waiting.ticket.partition not in partitions]
            if kept:
                self._successors[job_id] = kept
            else:
                del self._successors[job_id]

    def leave(self, job: Claiming | Claimed) -> None:
        """A job is in hand no more: its claim was refused or lost, or its outcome has been reported."""
        table = self.claiming if isinstance(job, Claiming) else self.held
        del table[job.record.id]
        self.suspects.leave(job.record.id)
        self.large -= job.record.payload_omitted
        job.lane.release()
        for waiting in self._successors.pop(job.record.id, ()):
            job.lane.add(waiting)
