"""A lane for each way of running a handler: how many jobs it may hold, and which records wait for it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.offsets import Partition, Ticket
from worker_service.records import is_suspect

FULL_RECORDS = 4000
FULL_BYTES = 16 * 1024 * 1024
"""A lane with this much waiting is full, until it is half empty again."""
AHEAD_SECONDS = 0.1
MEMORY_SECONDS = 1.0
"""So long after a job has ended its time tells how long the next ones will take."""
RUNS_REMEMBERED = 50
MOST_AHEAD = 1000
"""Jobs held beyond the limit, at most, because jobs are short."""
MOST_AHEAD_OF_REFUSALS = 50
"""The same, because claims are refused: few, as the next one may be of a long job."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record that was polled and whose job has not been claimed. `size` in bytes."""

    record: DispatchRecord
    ticket: Ticket
    size: int


class Lane:
    """Holds up to `limit` jobs, and ahead of them as many as are soon done, within AHEAD_SECONDS: as many as ran, each for
    less, in the last AHEAD_SECONDS or, if that is more, as one place gets through in that time, going by the latest runs.

    The allowance keeps a lane of short jobs busy while claims and reports travel, however long they take. A job claimed
    ahead waits here about that long, not more; a lane of long jobs claims nothing that it cannot start. Refused claims
    give an allowance too: a narrow lane would get through a heap of stale records too slowly.

    Types may be shut out: their records wait on, are not taken, and count for nothing, so that they hold up no others.
    Records of suspects, which may have to wait for each other, hold up others only when they alone make the lane full.
    """

    def __init__(
        self,
        limit: int,
        *,
        on_work: Callable[[], None],
        on_full_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_work` is called when there may be something to claim, `on_full_change` when `full` changes."""
        self._limit = limit
        self._on_work = on_work
        self._on_full_change = on_full_change
        self._clock = clock
        self._waiting: dict[_Kind, _Queue] = {}
        self._open: dict[bool, list[_Queue]] = {False: [], True: []}
        """The queues that are not shut out: of suspects (True), and of others."""
        self._arrivals = 0
        self._shut_out: AbstractSet[str] = frozenset()
        self._held = 0
        self._short_runs = _RecentCount(clock)
        self._mean_run = 0.0
        """Seconds, of the latest runs."""
        self._last_run = clock() - MEMORY_SECONDS
        self._refusals = _RecentCount(clock)
        self._left_behind = 0
        self.full = False
        self.slots = asyncio.Semaphore(limit)
        """Taken while a job runs; see Place."""

    @property
    def room(self) -> int:
        """How many jobs may be claimed now."""
        ahead = min(max(self._short_runs.count(), self._soon_done()), MOST_AHEAD)
        ahead_of_refusals = min(self._refusals.count(), MOST_AHEAD_OF_REFUSALS)
        return max(0, self._limit + ahead + ahead_of_refusals - self._held)

    @property
    def claimable(self) -> int:
        """How many jobs could be claimed now for records that wait."""
        waiting = sum(len(queue) for queues in self._open.values() for queue in queues)
        return min(self.room, waiting) if waiting else 0

    @property
    def is_stuck(self) -> bool:
        """Whether handlers that were left behind have all places."""
        return self._left_behind >= self._limit

    def add(self, waiting: Waiting) -> None:
        """Let a record wait."""
        self._arrivals += 1
        self._queue_of(waiting.record).add(self._arrivals, waiting)
        self._review()
        self._on_work()

    def take(self, *, suspects: bool = True) -> Waiting | None:
        """The record that has waited longest, of those that are not shut out; None if none waits. `suspects`: whether
        records of these may be taken now.
        """
        queues = [queue for queue in self._open[False] if queue]
        if suspects:
            queues += [queue for queue in self._open[True] if queue]
        if not queues:
            return None
        first = queues[0] if len(queues) == 1 else min(queues, key=lambda queue: queue.first_arrival)
        waiting = first.take()
        self._review()
        return waiting

    def shut_out(self, job_types: AbstractSet[str]) -> None:
        """Shut out these types and no others."""
        self._shut_out = job_types
        for suspects, queues in self._open.items():
            queues[:] = [
                queue
                for kind, queue in self._waiting.items()
                if kind.suspects is suspects and kind.job_type not in job_types
            ]
        self._review()

    def drop(self, partitions: AbstractSet[Partition]) -> None:
        """Forget the records of `partitions`: Kafka gives them to whoever has the partition next."""
        for queue in self._waiting.values():
            queue.drop(partitions)
        self._review()

    def hold(self) -> None:
        """A job is being claimed, or in hand, from now on."""
        self._held += 1

    def note_run(self, seconds: float) -> None:
        """A job has run for so long."""
        if self._knows_its_pace():
            self._mean_run += (seconds - self._mean_run) / RUNS_REMEMBERED
        else:
            self._mean_run = seconds
        self._last_run = self._clock()
        if seconds < AHEAD_SECONDS:
            self._short_runs.note()

    def note_refusal(self) -> None:
        """A claim has been refused."""
        self._refusals.note()

    def leave_behind(self) -> None:
        """A handler goes on without its job, in one of the places."""
        self._left_behind += 1
        self.hold()

    def recover(self) -> None:
        """One that was left behind has ended."""
        self._left_behind -= 1
        self.release()

    def release(self) -> None:
        """A job is in hand no more: its claim was refused, or its outcome has been reported."""
        self._held -= 1
        self._on_work()

    def _knows_its_pace(self) -> bool:
        return self._clock() - self._last_run < MEMORY_SECONDS

    def _soon_done(self) -> int:
        """How many jobs one place gets through in AHEAD_SECONDS."""
        if not self._knows_its_pace() or self._mean_run >= AHEAD_SECONDS:
            return 0
        return int(AHEAD_SECONDS / max(self._mean_run, AHEAD_SECONDS / MOST_AHEAD))

    def _queue_of(self, record: DispatchRecord) -> "_Queue":
        kind = _Kind(record.type, is_suspect(record))
        queue = self._waiting.get(kind)
        if queue is None:
            queue = self._waiting[kind] = _Queue()
            if kind.job_type not in self._shut_out:
                self._open[kind.suspects].append(queue)
        return queue

    def _review(self) -> None:
        share = 0.5 if self.full else 1
        full = any(
            sum(map(len, queues)) >= FULL_RECORDS * share
            or sum(queue.size for queue in queues) >= FULL_BYTES * share
            for queues in self._open.values()
        )
        if full != self.full:
            self.full = full
            self._on_full_change()


class _Kind(NamedTuple):
    """Records that wait in one line."""

    job_type: str
    suspects: bool


class _Queue:
    """Waiting records of one kind, each with its number in the order of arrival in the lane."""

    def __init__(self) -> None:
        self._items: deque[tuple[int, Waiting]] = deque()
        self.size = 0
        """Bytes."""

    def __len__(self) -> int:
        return len(self._items)

    @property
    def first_arrival(self) -> int:
        return self._items[0][0]

    def add(self, arrival: int, waiting: Waiting) -> None:
        self._items.append((arrival, waiting))
        self.size += waiting.size

    def take(self) -> Waiting:
        _, waiting = self._items.popleft()
        self.size -= waiting.size
        return waiting

    def drop(self, partitions: AbstractSet[Partition]) -> None:
        self._items = deque(item for item in self._items if item[1].ticket.partition not in partitions)
        self.size = sum(waiting.size for _, waiting in self._items)


class _RecentCount:
    """How many events there were in the last AHEAD_SECONDS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: deque[float] = deque()

    def note(self) -> None:
        self._times.append(self._clock())

    def count(self) -> int:
        since = self._clock() - AHEAD_SECONDS
        while self._times and self._times[0] < since:
            self._times.popleft()
        return len(self._times)
