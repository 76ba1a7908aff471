"""Lanes. Each way of running a handler has a lane, with a limit of jobs and the records that wait for it."""

import asyncio
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from service_runtime.recent_count import RecentCount
from worker_service.claiming.backlog import Backlog, WaitingRecord
from worker_service.claiming.completion_rate import AHEAD_SECONDS, CompletionRate
from worker_service.kafka.offsets import Partition

MAX_AHEAD = 1000
"""How many jobs may be held beyond the limit because jobs are short."""
MAX_AHEAD_OF_REFUSALS = 50
"""How many jobs may be held beyond the limit because claims are refused. Few: the next job may be long."""


def any_suspect(_record: DispatchRecord) -> bool:
    """Every suspect may be taken."""
    return True


class Lane:
    """Holds `limit` jobs and, beyond that, as many as will soon be done; see CompletionRate.

    The extra jobs keep a lane of short jobs busy while claims and reports travel. A job that was claimed
    ahead waits about AHEAD_SECONDS at most. A lane of long jobs claims only what it can start at once.
    Refused claims raise the limit too, so that a lane with few slots gets through many stale records.
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
        self.limit = limit
        self._on_work = on_work
        self._waiting = Backlog(on_full_change)
        self._held = 0
        self._completion_rate = CompletionRate(clock)
        self._refusals = RecentCount(AHEAD_SECONDS, clock)
        self._left_behind = 0
        self.slots = asyncio.Semaphore(limit)
        """A job takes one while it runs; see Slot."""

    @property
    def arrivals(self) -> int:
        """See Backlog."""
        return self._waiting.arrivals

    @property
    def oldest(self) -> int | None:
        """See Backlog."""
        return self._waiting.oldest

    @property
    def capacity(self) -> int:
        """How many jobs may be claimed now."""
        ahead = min(self._completion_rate.soon_done(), MAX_AHEAD)
        ahead_of_refusals = min(self._refusals.count(), MAX_AHEAD_OF_REFUSALS)
        return max(0, self.limit + ahead + ahead_of_refusals - self._held)

    @property
    def claimable(self) -> int:
        """How many of the waiting records could be claimed now."""
        return min(self.capacity, len(self._waiting)) if self._waiting else 0

    @property
    def is_idle(self) -> bool:
        """Whether no job is in flight, and no abandoned handler goes on."""
        return not self._held

    @property
    def others_wait(self) -> bool:
        """Whether the record of any job that is no suspect waits."""
        return self._waiting.others > 0

    @property
    def first_suspect(self) -> DispatchRecord | None:
        """The suspect that has waited longest."""
        return self._waiting.first_suspect

    @property
    def is_stuck(self) -> bool:
        """Whether abandoned handlers occupy all slots."""
        return self._left_behind >= self.limit

    @property
    def full(self) -> bool:
        """Whether the consumer should poll no more records for this lane."""
        return self._waiting.full

    def add(self, waiting: WaitingRecord) -> None:
        """Let a record wait."""
        self._waiting.add(waiting)
        self._on_work()

    def take(
        self,
        *,
        others: bool = True,
        large: bool = True,
        suspects: Callable[[DispatchRecord], bool] = any_suspect,
    ) -> WaitingRecord | None:
        """See Backlog.take."""
        return self._waiting.take(others=others, large=large, suspects=suspects)

    def shut_out(self, job_types: AbstractSet[str]) -> None:
        """See Backlog.shut_out."""
        self._waiting.shut_out(job_types)

    def drop(self, partitions: AbstractSet[Partition]) -> None:
        """Forget the records of `partitions`. Their next owner polls them again."""
        self._waiting.drop(partitions)
        self._on_work()

    def hold(self) -> None:
        """A job is in flight from now on."""
        self._held += 1

    def note_run(self, seconds: float) -> None:
        """A job has run for `seconds`."""
        self._completion_rate.note_run(seconds)

    def note_refusal(self) -> None:
        """A claim has been refused."""
        self._refusals.note()

    def leave_behind(self) -> None:
        """A handler goes on though its job has ended. It occupies a slot."""
        self._left_behind += 1
        self.hold()

    def recover(self) -> None:
        """A handler that was left behind has ended."""
        self._left_behind -= 1
        self.release()

    def release(self) -> None:
        """A job is no longer in flight: its claim was refused or lost, or its outcome has been reported."""
        self._held -= 1
        self._on_work()
