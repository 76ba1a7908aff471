"""Items that wait for their answer, and the queue of those that were not sent yet."""

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from job_client.errors import JobClientError, deadline_exceeded

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class PendingItem(Generic[T, R]):
    """One item and the future of its answer. Cancelling `future` withdraws an item that was not sent yet.

    `give_up` is a time of the event loop's clock. `last_error` is the last transient error, None before the
    first.
    """

    content: T
    id: str
    size: int
    give_up: float
    future: asyncio.Future[R]
    last_error: JobClientError | None = None
    is_settled: bool = False

    async def result(self) -> R:
        """The answer. Raises the item's error, or DeadlineExceeded.

        Cancelling the caller does not cancel a call in flight, because the call carries other items too.
        """
        if not self.future.done():
            try:
                async with until(self.give_up) as limit:
                    return await self.future
            except TimeoutError:
                if limit.expired():
                    raise deadline_exceeded(self.id, self.last_error) from self.last_error
                raise
        return self.future.result()

    def settle(self, outcome: R | JobClientError) -> None:
        """Give the caller its answer or error, unless the caller is gone."""
        self.is_settled = True
        if self.future.done():
            return
        if isinstance(outcome, JobClientError):
            self.future.set_exception(outcome)
            # Reading the exception keeps asyncio from logging it as never retrieved.
            self.future.exception()
        else:
            self.future.set_result(outcome)


def until(moment: float) -> asyncio.Timeout:
    """A timeout at a time of the event loop's clock; infinity means no timeout."""
    return asyncio.timeout_at(None if math.isinf(moment) else moment)


class Sized(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def size(self) -> int: ...


S = TypeVar("S", bound=Sized)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The maximum of items and of bytes in one call. An item larger than `size` goes alone."""

    items: int = 1000
    size: int = 2 * 1024 * 1024


class PendingQueue(Generic[S]):
    """Items to send, first come, first served. `unique_ids`: a batch may contain an id only once."""

    def __init__(self, limits: BatchLimits, *, unique_ids: bool) -> None:
        self._limits = limits
        self._unique_ids = unique_ids
        self._items: deque[S] = deque()

    def add(self, item: S) -> None:
        self._items.append(item)

    def next_batch(self) -> list[S]:
        """Remove and return the next batch: as many items as fit, in order. Empty if nothing waits."""
        limits, items = self._limits, self._items
        batch: list[S] = []
        ids: set[str] = set()
        size = 0
        while items and len(batch) < limits.items:
            item = items[0]
            size += item.size
            if batch and (size > limits.size or (self._unique_ids and item.id in ids)):
                break
            ids.add(item.id)
            batch.append(items.popleft())
        return batch
