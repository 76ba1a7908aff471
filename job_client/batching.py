"""Sends the pending items of many callers in few calls, and repeats calls that failed for a transient reason.

While calls are in flight the next items queue up; when a call ends, they go out together. No timer adds
delay: items that are added in one turn of the event loop go in one call, and a single item goes at once. A
call that is repeated keeps its slot among the calls in flight while it waits, so that a server in trouble
does not get more calls than before.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

import grpc

from job_client.backoff import Backoff
from job_client.capacity import Capacity
from job_client.errors import (
    JobClientError,
    client_closed,
    client_fault,
    deadline_exceeded,
    errors_by_index,
    from_call,
    is_transient,
    may_be_caused_by_one_item,
)
from job_client.fields import type_name
from job_client.pending import BatchLimits, PendingItem, PendingQueue, until

log = logging.getLogger(__name__)

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
LOG_SECONDS = 10.0
"""Repeated calls are logged at most once in this time."""


class BatchCall(Protocol[T_contra, R_co]):
    """A call that is safe to repeat.

    `field`: the name of the repeated field in the contract that holds the items. `unique_ids`: the contract
    allows an id only once in that field.
    """

    field: str
    unique_ids: bool

    async def send(self, contents: Sequence[T_contra], seconds: float) -> "Sequence[R_co | JobClientError]":
        """The outcome of each item, in order. Raises AioRpcError if the call as a whole failed."""


@dataclass(frozen=True, slots=True)
class BatcherLimits:
    """`calls`: the maximum of calls in flight. `pending_*`: the maximum of items and of bytes in memory.

    `call_seconds`: the deadline of one call. It is longer than the server's own deadline, so that the
    server's error arrives.
    """

    batch: BatchLimits = field(default_factory=BatchLimits)
    calls: int = 4
    call_seconds: float = 12.0
    pending_items: int = 10_000
    pending_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        limits = self.calls, self.pending_items, self.pending_bytes
        for limit in limits:
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise TypeError(f"a client's limits must be whole numbers, one is of type {type_name(limit)}")
        if min(limits) < 1:
            raise ValueError("a client's limits for calls, jobs and bytes must be at least 1")


@dataclass
class Batcher(Generic[T, R]):
    """Takes items and settles each with its answer. Belongs to the event loop that runs when it is made."""

    call: BatchCall[T, R]
    limits: BatcherLimits = field(default_factory=BatcherLimits)
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        # Looked up once: in Python 3.11 each get_running_loop() makes a system call.
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._capacity = Capacity(self.limits.pending_items, self.limits.pending_bytes)
        self._queue: PendingQueue[PendingItem[T, R]] = PendingQueue(
            self.limits.batch, unique_ids=self.call.unique_ids
        )
        self._in_flight: set[asyncio.Task[None]] = set()
        self._start_is_scheduled = False
        self._is_closed = False
        self._next_log = -math.inf
        self._unlogged = 0
        """Repeated calls since the last log line."""

    async def submit(self, content: T, item_id: str, size: int, give_up: float) -> PendingItem[T, R]:
        """Wait for capacity and queue an item. Raises DeadlineExceeded, ClientClosed."""
        try:
            await self.acquire(size, give_up)
        except TimeoutError:
            raise deadline_exceeded(item_id) from None
        return self.add(content, item_id, size, give_up)

    async def acquire(self, size: int, deadline: float = math.inf) -> None:
        """Wait for the capacity that `add` needs; `add` must follow at once.

        Raises TimeoutError at `deadline`.
        """
        if not self._capacity.try_acquire(size):
            async with until(deadline):
                await self._capacity.acquire(size)

    def add(self, content: T, item_id: str, size: int, give_up: float) -> PendingItem[T, R]:
        """Queue an item whose capacity is acquired. Raises ClientClosed."""
        if self._is_closed:
            self._capacity.release(size)
            raise client_closed(item_id)
        item: PendingItem[T, R] = PendingItem(content, item_id, size, give_up, self._loop.create_future())
        self._queue.add(item)
        if not self._start_is_scheduled:
            self._start_is_scheduled = True
            self._loop.call_soon(self._start_calls)
        return item

    async def close(self) -> None:
        """Everything that is pending ends with ClientClosed."""
        self._is_closed = True
        for task in self._in_flight:
            task.cancel()
        while batch := self._queue.next_batch():
            self._abandon(batch)
        if self._in_flight:
            await asyncio.wait(self._in_flight)

    def _start_calls(self) -> None:
        self._start_is_scheduled = False
        while len(self._in_flight) < self.limits.calls and (batch := self._queue.next_batch()):
            task = asyncio.create_task(self._deliver(batch))
            self._in_flight.add(task)
            task.add_done_callback(partial(self._after_delivery, batch))

    def _after_delivery(self, batch: Sequence[PendingItem[T, R]], task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._abandon(batch, None if task.cancelled() else task.exception())
        self._start_calls()

    async def _deliver(self, batch: Sequence[PendingItem[T, R]]) -> None:
        """Send the batch until each item has an answer or no caller."""
        failures = 0
        while batch := [item for item in batch if self._is_wanted(item, self.now())]:
            outcomes = await send(self.call, batch, self.now, self.limits.call_seconds)
            batch = [
                item
                for item, outcome in zip(batch, outcomes, strict=True)
                if self._must_repeat(item, outcome)
            ]
            if batch:
                failures += 1
                await self._back_off(batch, failures)

    async def _back_off(self, batch: Sequence[PendingItem[T, R]], failures: int) -> None:
        """Wait before the batch is sent again, but no longer than the last of its callers does."""
        errors = [item.last_error for item in batch if item.last_error]
        seconds = self.backoff.wait(failures, max(error.retry_delay or 0.0 for error in errors))
        self._log_repeated_call(len(batch), seconds, errors[0])
        await asyncio.sleep(min(seconds, max(item.give_up for item in batch) - self.now()))

    def _log_repeated_call(self, jobs: int, seconds: float, error: JobClientError) -> None:
        """At most one line in LOG_SECONDS, because all calls fail while a server is unavailable."""
        if self.now() < self._next_log:
            self._unlogged += 1
            return
        others = (
            f"; {self._unlogged} other calls were repeated since the last such line" if self._unlogged else ""
        )
        log.warning("the call for %d jobs will be sent again in %.3f s: %s%s", jobs, seconds, error, others)
        self._unlogged = 0
        self._next_log = self.now() + LOG_SECONDS

    def _is_wanted(self, item: PendingItem[T, R], now: float) -> bool:
        """Whether a caller still waits for the item; if not, the item is settled."""
        if not item.future.done() and now < item.give_up:
            return True
        self._settle(item, deadline_exceeded(item.id, item.last_error))
        return False

    def _must_repeat(self, item: PendingItem[T, R], outcome: R | JobClientError) -> bool:
        """Whether the item must be sent again; if not, the item is settled."""
        if isinstance(outcome, JobClientError) and is_transient(outcome):
            item.last_error = outcome
            return True
        self._settle(item, outcome)
        return False

    def _abandon(self, batch: Sequence[PendingItem[T, R]], fault: BaseException | None = None) -> None:
        """Settle the rest of a batch that is not sent again. `fault`: the client's own error, if any."""
        for item in batch:
            if not item.is_settled:
                self._settle(item, client_fault(item.id, fault) if fault else client_closed(item.id))

    def _settle(self, item: PendingItem[T, R], outcome: R | JobClientError) -> None:
        item.settle(outcome)
        self._capacity.release(item.size)


async def send(
    call: BatchCall[T, R],
    batch: Sequence[PendingItem[T, R]],
    clock: Callable[[], float],
    max_seconds: float,
) -> Sequence[R | JobClientError]:
    """The outcome of each item, in order. A call takes at most `max_seconds` of `clock`, less if all callers
    give up before.

    If one item may have caused the call to fail, the items that the server names get their errors, and the
    others are sent again in two halves. So each failure either names an item or leaves batches half as large.
    """
    left = max(item.give_up for item in batch) - clock()
    try:
        outcomes = await call.send([item.content for item in batch], min(max_seconds, left))
    except grpc.aio.AioRpcError as failure:
        error = from_call(failure)
    else:
        if len(outcomes) != len(batch):
            raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} jobs")
        return outcomes
    if len(batch) == 1 or not may_be_caused_by_one_item(error):
        return [error] * len(batch)
    known: dict[int, R | JobClientError] = dict(errors_by_index(error, call.field))
    rest = [index for index in range(len(batch)) if index not in known]
    for half in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
        if half:
            answered = await send(call, [batch[index] for index in half], clock, max_seconds)
            known |= dict(zip(half, answered, strict=True))
    return [known[index] for index in range(len(batch))]
