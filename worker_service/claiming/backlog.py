"""The records that wait in a lane: which of them is next, and whether there are too many."""

from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from contract_runtime.value import value
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.kafka.offsets import Partition, Ticket
from worker_service.kafka.records import is_suspect

FULL_RECORDS = 4000
FULL_BYTES = 16 * 1024 * 1024
"""A lane with this many waiting records or bytes is full, until it is half empty again."""


@value
class WaitingRecord:
    """A record that was polled and whose job is not claimed yet. `size` in bytes."""

    record: DispatchRecord
    ticket: Ticket
    size: int


class Backlog:
    """Keeps records in the order of their arrival.

    A job type may be shut out. Its records go on waiting, but none is taken and none counts, so they hold up
    no others. Suspects may have to wait for each other. They hold up other records only when they alone make
    the lane full.
    """

    def __init__(self, on_full_change: Callable[[], None]) -> None:
        """`on_full_change` is called when `full` changes."""
        self._on_full_change = on_full_change
        self._queues: dict[_Kind, _Queue] = {}
        self._open: dict[bool, _Open] = {False: _Open(), True: _Open()}
        """The queues that are not shut out: those of suspects under True, all others under False."""
        self.arrivals = 0
        """How many records have arrived since the start."""
        self._shut_out: AbstractSet[str] = frozenset()
        self.full = False
        """Whether the consumer should poll no more records for this lane."""

    def __len__(self) -> int:
        """The records that are not shut out."""
        return sum(part.records for part in self._open.values())

    @property
    def oldest(self) -> int | None:
        """The number, from 1 on, of the arrival that has waited longest; None if there is none.

        Suspects and shut-out types do not count.
        """
        return min((queue.first_arrival for queue in self._open[False].queues if queue), default=None)

    def add(self, waiting: WaitingRecord) -> None:
        """Let a record wait."""
        self.arrivals += 1
        record = waiting.record
        kind = _Kind(record.type, is_suspect(record), record.payload_omitted)
        queue = self._queues.get(kind)
        if queue is None:
            queue = self._queues[kind] = _Queue(kind.large)
            self._reopen()
        queue.add(self.arrivals, waiting)
        if kind.job_type not in self._shut_out:
            self._open[kind.suspects].count(1, waiting.size)
        self._review()

    @property
    def others(self) -> int:
        """How many records wait whose jobs are no suspects, without shut-out types."""
        return self._open[False].records

    @property
    def first_suspect(self) -> DispatchRecord | None:
        """The suspect that has waited longest, without shut-out types."""
        queue = self._open[True].first()
        return None if queue is None else queue.first

    def take(
        self, *, others: bool, large: bool, suspects: Callable[[DispatchRecord], bool]
    ) -> WaitingRecord | None:
        """Remove and return the record that has waited longest and may be taken; None if there is none.

        `suspects`: whether the first suspect may be taken now; the suspects behind it wait for it. `others`:
        whether records of other jobs may be taken. `large`: whether that includes records without their
        payload; if not, the records behind them are taken first.
        """
        part = self._open[False]
        queue = part.first(large=large) if others else None
        suspected = self._open[True]
        if suspected.records:
            suspect = suspected.first()
            if (
                suspect is not None
                and (queue is None or suspect.first_arrival < queue.first_arrival)
                and suspects(suspect.first)
            ):
                queue, part = suspect, suspected
        if queue is None:
            return None
        waiting = queue.take()
        part.count(-1, -waiting.size)
        self._review()
        return waiting

    def shut_out(self, job_types: AbstractSet[str]) -> None:
        """Shut out these types, and no others."""
        self._shut_out = job_types
        self._reopen()
        self._review()

    def drop(self, partitions: AbstractSet[Partition]) -> None:
        """Forget the records of `partitions`."""
        for queue in self._queues.values():
            queue.drop(partitions)
        self._reopen()
        self._review()

    def _reopen(self) -> None:
        """Find again which queues are not shut out, and count their records."""
        for suspects in self._open:
            self._open[suspects] = _Open(
                [
                    queue
                    for kind, queue in self._queues.items()
                    if kind.suspects is suspects and kind.job_type not in self._shut_out
                ]
            )

    def _review(self) -> None:
        share = 0.5 if self.full else 1
        full = self._open[False].fills(share) or self._open[True].fills(share)
        if full != self.full:
            self.full = full
            self._on_full_change()


class _Kind(NamedTuple):
    """Records of the same kind wait in one queue."""

    job_type: str
    suspects: bool
    large: bool


class _Queue:
    """Waiting records of one kind, each with its arrival number in the lane."""

    def __init__(self, is_large: bool) -> None:
        self.is_large = is_large
        self._items: deque[tuple[int, WaitingRecord]] = deque()
        self.size = 0
        """Bytes."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def first_arrival(self) -> int:
        return self._items[0][0]

    @property
    def first(self) -> DispatchRecord:
        return self._items[0][1].record

    def add(self, arrival: int, waiting: WaitingRecord) -> None:
        self._items.append((arrival, waiting))
        self.size += waiting.size

    def take(self) -> WaitingRecord:
        _, waiting = self._items.popleft()
        self.size -= waiting.size
        return waiting

    def drop(self, partitions: AbstractSet[Partition]) -> None:
        self._items = deque(item for item in self._items if item[1].ticket.partition not in partitions)
        self.size = sum(waiting.size for _, waiting in self._items)


class _Open:
    """The queues that records may be taken from, and the totals of all of them."""

    def __init__(self, queues: Sequence[_Queue] = ()) -> None:
        self.queues = queues
        self.records = sum(map(len, queues))
        self._bytes = sum(queue.size for queue in queues)

    def first(self, *, large: bool = True) -> _Queue | None:
        """The queue whose first record has waited longest.

        `large`: whether queues of large payloads count.
        """
        if not self.records:
            return None
        first = None
        for queue in self.queues:
            if (
                queue
                and (large or not queue.is_large)
                and (first is None or queue.first_arrival < first.first_arrival)
            ):
                first = queue
        return first

    def count(self, records: int, size: int) -> None:
        """Add to the totals of waiting records and bytes."""
        self.records += records
        self._bytes += size

    def fills(self, share: float) -> bool:
        """Whether this is at least `share` of a full lane."""
        return self.records >= FULL_RECORDS * share or self._bytes >= FULL_BYTES * share
