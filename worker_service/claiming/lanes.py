"""A lane for each way of running a handler: how many jobs it may hold, and which records wait for it."""

import asyncio
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from jobs.v1.dispatch_pb2 import DispatchRecord
from service_runtime.recent_count import RecentCount
from worker_service.claiming.backlog import Backlog, WaitingRecord, any_suspect
from worker_service.claiming.completion_rate import AHEAD_SECONDS, CompletionRate
from worker_service.kafka.offsets import Partition

MOST_AHEAD = 1000
"""Jobs held beyond the limit, at most, because jobs are short."""
MOST_AHEAD_OF_REFUSALS = 50
"""The same, because claims are refused: few, as the next one may be of a long job."""


class Lane:
    """Holds up to `limit` jobs and, ahead of them, as many as are soon done; see Pace.

    The allowance keeps a lane of short jobs busy while claims and reports travel. A job claimed ahead waits here for about
    as long as Pace looks ahead, not more; a lane of long jobs claims nothing that it cannot start. Refused claims give an
    allowance too: a narrow lane would get through a heap of stale records too slowly.
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
        """Taken while a job runs; see Place."""

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
        ahead = min(self._completion_rate.soon_done(), MOST_AHEAD)
        ahead_of_refusals = min(self._refusals.count(), MOST_AHEAD_OF_REFUSALS)
        return max(0, self.limit + ahead + ahead_of_refusals - self._held)

    @property
    def claimable(self) -> int:
        """How many jobs could be claimed now for records that wait."""
        return min(self.capacity, len(self._waiting)) if self._waiting else 0

    @property
    def is_idle(self) -> bool:
        """Whether no job is being claimed or in hand, and no handler goes on without its job."""
        return not self._held

    @property
    def others_wait(self) -> bool:
        """Whether any record waits of a job that is no suspect."""
        return self._waiting.others > 0

    @property
    def first_suspect(self) -> DispatchRecord | None:
        """The suspect that has waited longest."""
        return self._waiting.first_suspect

    @property
    def is_stuck(self) -> bool:
        """Whether handlers that were left behind have all places."""
        return self._left_behind >= self.limit

    @property
    def full(self) -> bool:
        """Whether so much waits that no more is to be polled."""
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
        """Forget the records of `partitions`: Kafka gives them to whoever has the partition next."""
        self._waiting.drop(partitions)
        self._on_work()

    def hold(self) -> None:
        """A job is being claimed, or in hand, from now on."""
        self._held += 1

    def note_run(self, seconds: float) -> None:
        """A job has run for so long."""
        self._completion_rate.note_run(seconds)

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
