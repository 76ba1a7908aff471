"""A lane for each way of running a handler: how many jobs it may hold, and which records wait for it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.offsets import Partition, Ticket

FULL_RECORDS = 2000
FULL_BYTES = 16 * 1024 * 1024
"""A lane with this much waiting is full, until it is half empty again."""
RECENT_SECONDS = 0.1
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
    """Holds up to `limit` jobs, and as many again as ran, each in less than RECENT_SECONDS, in the last RECENT_SECONDS.

    The allowance keeps a lane of short jobs busy while claims and reports travel. A job claimed ahead waits here about
    that long, not more; a lane of long jobs claims nothing that it cannot start. Refused claims give an allowance too:
    a narrow lane would get through a heap of stale records too slowly.
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
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._held = 0
        self._short_runs = _RecentCount(clock)
        self._refusals = _RecentCount(clock)
        self.full = False
        self.slots = asyncio.Semaphore(limit)
        """Taken while a job runs."""

    @property
    def room(self) -> int:
        """How many jobs may be claimed now."""
        ahead = min(self._short_runs.count(), MOST_AHEAD)
        ahead_of_refusals = min(self._refusals.count(), MOST_AHEAD_OF_REFUSALS)
        return max(0, self._limit + ahead + ahead_of_refusals - self._held)

    def add(self, waiting: Waiting) -> None:
        """Let a record wait."""
        self._waiting.append(waiting)
        self._waiting_bytes += waiting.size
        self._review()
        self._on_work()

    def take(self) -> Waiting | None:
        """The record that has waited longest; None if none waits."""
        if not self._waiting:
            return None
        waiting = self._waiting.popleft()
        self._waiting_bytes -= waiting.size
        self._review()
        return waiting

    def drop(self, partitions: AbstractSet[Partition]) -> None:
        """Forget the records of `partitions`: Kafka gives them to whoever has the partition next."""
        self._waiting = deque(item for item in self._waiting if item.ticket.partition not in partitions)
        self._waiting_bytes = sum(item.size for item in self._waiting)
        self._review()

    def hold(self) -> None:
        """A job is being claimed, or in hand, from now on."""
        self._held += 1

    def note_run(self, seconds: float) -> None:
        """A job has run for so long."""
        if seconds < RECENT_SECONDS:
            self._short_runs.note()

    def note_refusal(self) -> None:
        """A claim has been refused."""
        self._refusals.note()

    def release(self) -> None:
        """A job is in hand no more: its claim was refused, or its outcome has been reported."""
        self._held -= 1
        self._on_work()

    def _review(self) -> None:
        share = 0.5 if self.full else 1
        full = len(self._waiting) >= FULL_RECORDS * share or self._waiting_bytes >= FULL_BYTES * share
        if full != self.full:
            self.full = full
            self._on_full_change()


class _RecentCount:
    """How many events there were in the last RECENT_SECONDS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: deque[float] = deque()

    def note(self) -> None:
        self._times.append(self._clock())

    def count(self) -> int:
        since = self._clock() - RECENT_SECONDS
        while self._times and self._times[0] < since:
            self._times.popleft()
        return len(self._times)
