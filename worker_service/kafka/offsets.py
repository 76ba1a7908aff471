"""Which Kafka offsets may be committed. Pure bookkeeping: no asyncio, no Kafka.

A record is finished once the claim of its job is durable or was refused. Records of one partition finish in any order;
what may be committed is the offset after the longest finished run. Each assignment of a partition is an epoch of its
own, so that what was begun before a rebalance cannot count after it.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Partition(NamedTuple):
    """One partition of one topic; equal to aiokafka's TopicPartition."""

    topic: str
    partition: int


class Ticket(NamedTuple):
    """One record handed out in one assignment of its partition."""

    partition: Partition
    epoch: int
    offset: int


class Commit(NamedTuple):
    """`offset`, the next one to read, may be committed for a partition while it is in `epoch`."""

    partition: Partition
    epoch: int
    offset: int


@dataclass(slots=True)
class _Progress:
    epoch: int
    begun: deque[int] = field(default_factory=deque)
    """Offsets handed out, ascending, from the first unfinished one on."""
    finished: set[int] = field(default_factory=set)
    """Those of `begun` that are finished."""
    last_begun: int = -1
    next_offset: int = -1
    """The offset after the longest finished run; -1: nothing finished yet."""
    committed: int = -1


class OffsetTracker:
    """The progress of all partitions that are assigned now."""

    def __init__(self) -> None:
        self._assigned: dict[Partition, _Progress] = {}
        self._last_epoch = 0

    def assign(self, partition: Partition) -> None:
        """Start a new epoch of `partition`."""
        self._last_epoch += 1
        self._assigned[partition] = _Progress(self._last_epoch)

    def revoke(self, partition: Partition) -> None:
        """End the epoch of `partition`: nothing of it is committed any more."""
        self._assigned.pop(partition, None)

    def lose(self, commits: Iterable[Commit]) -> None:
        """End the epochs of these, unless newer ones have begun."""
        for commit in commits:
            progress = self._assigned.get(commit.partition)
            if progress is not None and progress.epoch == commit.epoch:
                del self._assigned[commit.partition]

    def begin(self, partition: Partition, offset: int) -> Ticket | None:
        """Note that a record was handed out; None if its partition is not assigned.

        Offsets ascend. One that does not shows that the log was made anew: what was before it counts no more.
        """
        progress = self._assigned.get(partition)
        if progress is None:
            return None
        if offset <= progress.last_begun:
            self.assign(partition)
            progress = self._assigned[partition]
        progress.begun.append(offset)
        progress.last_begun = offset
        return Ticket(partition, progress.epoch, offset)

    def finish(self, ticket: Ticket) -> None:
        """Note that a record needs no more looking after. A ticket of another epoch, or finished already, is ignored."""
        progress = self._assigned.get(ticket.partition)
        if progress is None or progress.epoch != ticket.epoch:
            return
        if not progress.begun or ticket.offset < progress.begun[0]:
            return
        progress.finished.add(ticket.offset)
        while progress.begun and progress.begun[0] in progress.finished:
            offset = progress.begun.popleft()
            progress.finished.remove(offset)
            progress.next_offset = offset + 1

    def due(self) -> list[Commit]:
        """What may be committed and has not been."""
        return [
            Commit(partition, progress.epoch, progress.next_offset)
            for partition, progress in self._assigned.items()
            if progress.next_offset > progress.committed
        ]

    def committed(self, commits: Iterable[Commit]) -> None:
        """Note that these were committed."""
        for commit in commits:
            progress = self._assigned.get(commit.partition)
            if progress is not None and progress.epoch == commit.epoch:
                progress.committed = max(progress.committed, commit.offset)
