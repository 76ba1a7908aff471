"""Group commit: items that wait at the same time are committed together.

While one batch is running, the next items collect. They form the next batch, together with all items that the
event loop delivers at that moment. No timer adds delay: at low load an item is committed alone and at once;
under load the items of a batch share its cost.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from contract_runtime.value import value

MAX_BLOCKING_SECONDS = 0.1
"""After this time a batch no longer blocks the next one, so that one slow item does not delay the others."""
IDLE_TURNS = 20
"""A batch starts after this many turns of the event loop without a new item. A call needs a few turns from
the socket to here; twenty turns of an idle loop take a fraction of a millisecond.
"""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one batch."""

    items: int = 500
    bytes: int = 8 * 1024 * 1024


@value
class Item(Generic[T]):
    """Something to commit; `size` in bytes. Items with the same `key` keep their order, in different batches.

    The key None is not compared.
    """

    content: T
    size: int
    key: Hashable | None = None


class GroupCommit(Generic[T, R]):
    """`commit` gets the contents of a batch and returns one result or error for each, in the same order."""

    def __init__(
        self,
        commit: Callable[[list[T]], Awaitable[Sequence[R | Exception]]],
        limits: Limits = Limits(),
        max_blocking: float = MAX_BLOCKING_SECONDS,
    ) -> None:
        """One batch runs at a time. After `max_blocking` seconds the next one may start beside it."""
        self._commit = commit
        self._limits = limits
        self._waiting: deque[tuple[Item[T], asyncio.Future[R]]] = deque()
        self._max_blocking = max_blocking
        self._running_batches: set[asyncio.Task[None]] = set()
        self._loop_task: asyncio.Task[None] | None = None

    async def do(self, item: Item[T]) -> R:
        """Commit the item and return its result. Raises the item's error, or the error of the whole batch.

        If the caller is cancelled, its item is committed all the same, and the batch goes on.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._loop_task is None:
            self._loop_task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        batch: list[tuple[Item[T], asyncio.Future[R]]] = []
        while self._waiting:
            if len(batch) > 1 or len(self._waiting) > 1:
                await self._gather()
            batch = self._next_batch()
            committing = asyncio.create_task(self._commit_batch(batch))
            self._running_batches.add(committing)
            committing.add_done_callback(self._running_batches.discard)
            await asyncio.wait([committing], timeout=self._max_blocking)
        self._loop_task = None

    async def _gather(self) -> None:
        """Under load, let the event loop deliver the calls that have arrived before a new batch starts."""
        waiting = idle = 0
        while idle < IDLE_TURNS and len(self._waiting) < self._limits.items:
            idle = idle + 1 if len(self._waiting) == waiting else 0
            waiting = len(self._waiting)
            await asyncio.sleep(0)

    def _next_batch(self) -> list[tuple[Item[T], asyncio.Future[R]]]:
        batch: list[tuple[Item[T], asyncio.Future[R]]] = []
        keys: set[Hashable] = set()
        size = 0
        while self._waiting and len(batch) < self._limits.items:
            item, _ = self._waiting[0]
            size += item.size
            if item.key in keys or (batch and size > self._limits.bytes):
                break
            if item.key is not None:
                keys.add(item.key)
            batch.append(self._waiting.popleft())
        return batch

    async def _commit_batch(self, batch: Sequence[tuple[Item[T], asyncio.Future[R]]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._commit([item.content for item, _ in batch])
            if len(results) != len(batch):
                raise ValueError(f"{len(results)} results for {len(batch)} items")  # noqa: TRY301 - for all callers
        except Exception as error:  # noqa: BLE001 - every caller gets it
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
