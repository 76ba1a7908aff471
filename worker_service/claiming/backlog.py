"""The records that wait in a lane: which is next, and whether there are too many."""

from collections import deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from contract_runtime.value import value
from jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.kafka.offsets import Partition, Ticket
from worker_service.kafka.records import is_suspect

FULL_RECORDS = 4000
FULL_BYTES = 16 * 1024 * 1024
"""So much waiting is a full lane, until it is half empty again."""


@value
class WaitingRecord:
    """A record that was polled and whose job has not been claimed. `size` in bytes."""

    record: DispatchRecord
    ticket: Ticket
    size: int


def any_suspect(_record: DispatchRecord) -> bool:
    """For whom all are the same."""
    return True


class Backlog:
    """In the order of their arrival.

    Types may be shut out: their records wait on, are not taken, and count for nothing, so that they hold up no others.
    Records of suspects, which may have to wait for each other, hold up others only when they alone make the lane full.
    """

    def __init__(self, on_full_change: Callable[[], None]) -> None:
        """`on_full_change` is called when `full` changes."""
        self._on_full_change = on_full_change
        self._queues: dict[_Kind, _Queue] = {}
        self._open: dict[bool, _Open] = {False: _Open(), True: _Open()}
        """The queues that are not shut out: of suspects (True), and of others."""
        self.arrivals = 0
        """How many have come, ever."""
        self._shut_out: AbstractSet[str] = frozenset()
        self.full = False
        """Whether so much waits that no more is to be polled."""

    def __len__(self) -> int:
        """Without those that are shut out."""
        return sum(part.records for part in self._open.values())

    @property
    def oldest(self) -> int | None:
        """Which arrival has waited longest, counted from 1, of those that are neither shut out nor suspects; None: there is
        none.
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
        """Records of jobs that are no suspects, without those that are shut out."""
        return self._open[False].records

    @property
    def first_suspect(self) -> DispatchRecord | None:
        """The suspect that has waited longest, of those that are not shut out."""
        queue = self._open[True].first()
        return None if queue is None else queue.first

    def take(
        self,
        *,
        others: bool = True,
        large: bool = True,
        suspects: Callable[[DispatchRecord], bool] = any_suspect,
    ) -> WaitingRecord | None:
        """The record that has waited longest, of those that are not shut out and may be taken; None if there is none.

        `suspects`: whether the first suspect may be taken now; those behind it wait for it. `others`: whether a record of no
        suspect may be; `large`: also one whose payload stayed behind, which others pass.
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
        """Shut out these types and no others."""
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
        """Count anew what is not shut out."""
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
    """Records that wait in one line."""

    job_type: str
    suspects: bool
    large: bool


class _Queue:
    """Waiting records of one kind, each with its number in the order of arrival in the lane."""

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
    """Queues that records may be taken from, and what is in all of them."""

    def __init__(self, queues: Sequence[_Queue] = ()) -> None:
        self.queues = queues
        self.records = sum(map(len, queues))
        self._bytes = sum(queue.size for queue in queues)

    def first(self, *, large: bool = True) -> _Queue | None:
        """The one with the record that has waited longest. `large`: of all queues, not only of those of small payloads."""
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
        """So many more wait, with so many bytes."""
        self.records += records
        self._bytes += size

    def fills(self, share: float) -> bool:
        """Whether that is this share of what makes a lane full."""
        return self.records >= FULL_RECORDS * share or self._bytes >= FULL_BYTES * share
