"""Which Kafka offsets may be committed. Pure bookkeeping: no asyncio, no Kafka.

A record is finished when the claim of its job is durable or was refused. Records of one partition finish in
any order. The offset after the longest finished run may be committed. Each assignment of a partition is a new
epoch, so records that were begun before a rebalance do not count after it.
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
    """One record that was polled in one assignment of its partition."""

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
    """Offsets begun, ascending, from the first unfinished one on."""
    finished: set[int] = field(default_factory=set)
    """The offsets in `begun` that are finished."""
    last_begun: int = -1
    next_offset: int = -1
    """The offset after the longest finished run; -1: nothing is finished yet."""
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
        """End the epoch of `partition`. None of its offsets is committed any more."""
        self._assigned.pop(partition, None)

    def lose(self, commits: Iterable[Commit]) -> None:
        """End the epochs of these commits, unless newer ones have begun."""
        for commit in commits:
            progress = self._assigned.get(commit.partition)
            if progress is not None and progress.epoch == commit.epoch:
                del self._assigned[commit.partition]

    def begin(self, partition: Partition, offset: int) -> Ticket | None:
        """Note that a record was polled. None: its partition is not assigned.

        Offsets ascend. A lower offset shows that the topic was created again; then earlier records no longer
        count.
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
        """Note that a record is finished. A ticket of another epoch, or of a finished record, is ignored."""
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
        """The offsets that may be committed and are not committed yet."""
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
