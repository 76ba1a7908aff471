"""The table of jobs that this worker is claiming or has in hand: none of them is ever claimed a second time."""

from dataclasses import dataclass, field

from jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.lanes import Lane
from worker_service.offsets import Ticket


@dataclass(slots=True)
class Claiming:
    """A job whose claim has no answer yet, and all records of it that came meanwhile."""

    record: DispatchRecord
    lane: Lane
    tickets: list[Ticket] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
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


class Hand:
    """Jobs by id. A job is in at most one of the two."""

    def __init__(self) -> None:
        self.claiming: dict[str, Claiming] = {}
        self.held: dict[str, Claimed] = {}

    def move_to_held(self, claimed: Claimed) -> None:
        """The claim of a job was accepted."""
        del self.claiming[claimed.id]
        self.held[claimed.id] = claimed
