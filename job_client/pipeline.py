"""Sends together what waits: the client's side of group commit.

While calls are under way the next items gather, and go together when one has ended. No timer adds delay: what comes in one turn
of the event loop goes in one call, alone and at once if it is alone. A call that failed is sent again by whoever sent it, and
keeps its place meanwhile, so that a server in trouble is asked no more than before.
"""

import asyncio
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from job_client.backoff import Backoff
from job_client.errors import JobClientError
from job_client.fields import type_name
from job_client.hand import Hand
from job_client.item import Item, broken, closed, too_late, until
from job_client.judging import is_passing
from job_client.sending import Exchange, send
from job_client.waiting import BatchLimits, Waiting

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")
TELL_SECONDS = 10.0
"""At most one line about calls that are sent again is logged in this time."""


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """`calls` at a time; each has up to `call_seconds`, longer than the server takes to give up by itself, so that its own answer
    is heard.
    """

    batch: BatchLimits = field(default_factory=BatchLimits)
    calls: int = 4
    call_seconds: float = 12.0
    items_in_hand: int = 10_000
    bytes_in_hand: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        limits = self.calls, self.items_in_hand, self.bytes_in_hand
        for limit in limits:
            if isinstance(limit, bool) or not isinstance(limit, int):
                raise TypeError(f"a client's limits must be whole numbers, one is of type {type_name(limit)}")
        if min(limits) < 1:
            raise ValueError("a client needs room for one call, one job and one byte at least")


@dataclass
class Pipeline(Generic[T, R]):
    """Items in, what came of them out. Belongs to the event loop that runs when it is made."""

    exchange: Exchange[T, R]
    limits: PipelineLimits = field(default_factory=PipelineLimits)
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        # Asked for once: in Python 3.11 each question is a system call.
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._hand = Hand(self.limits.items_in_hand, self.limits.bytes_in_hand)
        self._waiting: Waiting[Item[T, R]] = Waiting(self.limits.batch, each_once=self.exchange.each_once)
        self._under_way: set[asyncio.Task[None]] = set()
        self._begins_soon = False
        self._is_closed = False
        self._tell_again_at = -math.inf
        self._untold = 0
        """Calls sent again of which no line was logged."""

    async def make_room(self, size: int, deadline: float = math.inf) -> None:
        """Wait while too much is in hand; `add` must follow at once. Raises TimeoutError at `deadline`."""
        if not self._hand.try_enter(size):
            async with until(deadline):
                await self._hand.enter(size)

    def add(self, content: T, item_id: str, size: int, give_up: float) -> Item[T, R]:
        """An item for which there is room. Raises ClientClosed."""
        if self._is_closed:
            self._hand.leave(size)
            raise closed(item_id)
        item: Item[T, R] = Item(content, item_id, size, give_up, self._loop.create_future())
        self._waiting.add(item)
        if not self._begins_soon:
            self._begins_soon = True
            self._loop.call_soon(self._begin)
        return item

    async def start(self, content: T, item_id: str, size: int, give_up: float) -> Item[T, R]:
        """An item in hand. Raises DeadlineExceeded, ClientClosed."""
        try:
            await self.make_room(size, give_up)
        except TimeoutError:
            raise too_late(item_id) from None
        return self.add(content, item_id, size, give_up)

    async def close(self) -> None:
        """Whatever is in hand ends with ClientClosed."""
        self._is_closed = True
        for task in self._under_way:
            task.cancel()
        while batch := self._waiting.take():
            self._give_up_on(batch)
        if self._under_way:
            await asyncio.wait(self._under_way)

    def _begin(self) -> None:
        self._begins_soon = False
        while len(self._under_way) < self.limits.calls and (batch := self._waiting.take()):
            task = asyncio.create_task(self._deliver(batch))
            self._under_way.add(task)
            task.add_done_callback(partial(self._ended, batch))

    def _ended(self, batch: Sequence[Item[T, R]], task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._give_up_on(batch, None if task.cancelled() else task.exception())
        self._begin()

    async def _deliver(self, batch: Sequence[Item[T, R]]) -> None:
        failures = 0
        while batch := [item for item in batch if self._is_wanted(item, self.now())]:
            outcomes = await send(self.exchange, batch, self.now, self.limits.call_seconds)
            batch = [
                item for item, outcome in zip(batch, outcomes, strict=True) if self._is_open(item, outcome)
            ]
            if batch:
                failures += 1
                await self._pause(batch, failures)

    async def _pause(self, batch: Sequence[Item[T, R]], failures: int) -> None:
        """No longer than any of their callers waits."""
        troubles = [item.trouble for item in batch if item.trouble]
        seconds = self.backoff.wait(failures, max(trouble.retry_delay or 0.0 for trouble in troubles))
        self._tell(len(batch), seconds, troubles[0])
        await asyncio.sleep(min(seconds, max(item.give_up for item in batch) - self.now()))

    def _tell(self, jobs: int, seconds: float, trouble: JobClientError) -> None:
        """One line for all calls that fail within some seconds: while a server is away they all do."""
        if self.now() < self._tell_again_at:
            self._untold += 1
            return
        others = f"; so were {self._untold} other calls since the last line like this" if self._untold else ""
        log.warning("the call for %d jobs is sent again in %.3f s: %s%s", jobs, seconds, trouble, others)
        self._untold = 0
        self._tell_again_at = self.now() + TELL_SECONDS

    def _is_wanted(self, item: Item[T, R], now: float) -> bool:
        """Its caller may have gone, or be out of time."""
        if not item.future.done() and now < item.give_up:
            return True
        self._settle(item, too_late(item.id, item.trouble))
        return False

    def _is_open(self, item: Item[T, R], outcome: R | JobClientError) -> bool:
        """Whether it has to be sent again; if not, it is settled."""
        if isinstance(outcome, JobClientError) and is_passing(outcome):
            item.trouble = outcome
            return True
        self._settle(item, outcome)
        return False

    def _give_up_on(self, batch: Sequence[Item[T, R]], fault: BaseException | None = None) -> None:
        """Of a batch that is not to be sent any more, what is left. `fault`: of the client's own; None: it is being closed."""
        for item in batch:
            if not item.is_settled:
                self._settle(item, broken(item.id, fault) if fault else closed(item.id))

    def _settle(self, item: Item[T, R], outcome: R | JobClientError) -> None:
        item.settle(outcome)
        self._hand.leave(item.size)
