"""Does together what is waiting already: group commit.

While one batch is under way the next items gather, and go together when it has ended, with all that the event loop has at
hand by then. No timer adds delay: at low load an item goes alone and at once; under load the cost of a batch is shared by
all in it.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from contract_runtime.value import value

PATIENCE = 0.1
"""Seconds after which a batch holds up the next one no longer: one item that is hard to decide is not the others' trouble."""
IDLE_TURNS = 20
"""Turns of the event loop without a new item after which a batch begins. A call takes a few from the socket to here; twenty
of an idle loop are over in a fraction of a millisecond.
"""
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one batch."""

    items: int = 500
    bytes: int = 8 * 1024 * 1024


@value
class Item(Generic[T]):
    """Something to be done. Two items with the same `key` are never in one batch, and stay in order; None: no key."""

    content: T
    size: int
    key: Hashable | None = None


class GroupCommit(Generic[T, R]):
    """`commit` does a batch: it takes contents and gives one result, or error, for each, in their order."""

    def __init__(
        self,
        commit: Callable[[list[T]], Awaitable[Sequence[R | Exception]]],
        limits: Limits = Limits(),
        patience: float = PATIENCE,
    ) -> None:
        """One batch at a time is under way, unless it takes longer than `patience` seconds."""
        self._commit = commit
        self._limits = limits
        self._waiting: deque[tuple[Item[T], asyncio.Future[R]]] = deque()
        self._patience = patience
        self._under_way: set[asyncio.Task[None]] = set()
        self._running: asyncio.Task[None] | None = None

    async def do(self, item: Item[T]) -> R:
        """The item's result. Raises its error, or what the whole batch failed of.

        A caller that is cancelled tears no batch: its item is done all the same.
        """
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        batch: list[tuple[Item[T], asyncio.Future[R]]] = []
        while self._waiting:
            if len(batch) > 1 or len(self._waiting) > 1:
                await self._gather()
            batch = self._next_batch()
            doing = asyncio.create_task(self._do(batch))
            self._under_way.add(doing)
            doing.add_done_callback(self._under_way.discard)
            await asyncio.wait([doing], timeout=self._patience)
        self._running = None

    async def _gather(self) -> None:
        """Under load, let the event loop take in the calls that it has at hand before a new batch begins."""
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

    async def _do(self, batch: Sequence[tuple[Item[T], asyncio.Future[R]]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._commit([item.content for item, _ in batch])
        except Exception as error:  # noqa: BLE001 - each caller hears of it
            results = [error] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
                future.exception()  # seen, though its caller may have gone
            else:
                future.set_result(result)
