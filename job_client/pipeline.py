"""Sends together what waits: the client's side of group commit.

While calls are under way the next items gather, and go together when one has ended. No timer adds delay: what comes in one turn
of the event loop goes in one call, alone and at once if it is alone. A call that failed is sent again by whoever sent it, and
keeps its place meanwhile, so that a server in trouble is asked no more than before.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import grpc

from job_client.backoff import Backoff
from job_client.errors import ClientClosed, DeadlineExceeded, JobClientError, from_call
from job_client.hand import Hand
from job_client.judging import culprits, is_about_content, is_passing
from job_client.waiting import BatchLimits, Waiting

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Exchange(Protocol[T_contra, R_co]):
    """One call that may be sent again.

    `field` is the name of the list that a batch has in the contract; `each_once`: an id may stand there once.
    """

    field: str
    each_once: bool

    async def send(self, contents: Sequence[T_contra], seconds: float) -> "Sequence[R_co | JobClientError]":
        """What came of each, in order. Raises AioRpcError if the call failed as a whole."""


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


@dataclass(slots=True, eq=False)
class Item(Generic[T, R]):
    """Something in hand. Cancelling `future` withdraws it, unless it is under way. `give_up`: by the event loop's clock."""

    content: T
    id: str
    size: int
    give_up: float
    future: asyncio.Future[R]
    trouble: JobClientError | None = None
    is_settled: bool = False

    async def result(self) -> R:
        """Raises its error, or DeadlineExceeded. A caller that is cancelled tears no call that is under way."""
        if not self.future.done():
            try:
                async with until(self.give_up) as limit:
                    return await self.future
            except TimeoutError:
                if limit.expired():
                    raise too_late(self.id, self.trouble) from self.trouble
                raise
        return self.future.result()


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
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._begin()

    async def _deliver(self, batch: Sequence[Item[T, R]]) -> None:
        try:
            await self._send_until_settled(batch)
        finally:
            self._give_up_on(batch)

    async def _send_until_settled(self, batch: Sequence[Item[T, R]]) -> None:
        failures = 0
        while batch := [item for item in batch if self._is_wanted(item, self.now())]:
            outcomes = await self._send(batch)
            batch = [
                item for item, outcome in zip(batch, outcomes, strict=True) if self._is_open(item, outcome)
            ]
            if batch:
                failures += 1
                asked_for = max(item.trouble.retry_delay or 0.0 for item in batch if item.trouble)
                left = max(item.give_up for item in batch) - self.now()
                await asyncio.sleep(min(self.backoff.wait(failures, asked_for), left))

    async def _send(self, batch: Sequence[Item[T, R]]) -> Sequence[R | JobClientError]:
        """What came of each. A call that fails because of what is in it is sent again without those it names, in halves."""
        left = max(item.give_up for item in batch) - self.now()
        try:
            return await self.exchange.send(
                [item.content for item in batch], min(self.limits.call_seconds, left)
            )
        except grpc.aio.AioRpcError as failure:
            error = from_call(failure)
        if len(batch) == 1 or not is_about_content(error):
            return [error] * len(batch)
        outcomes: dict[int, R | JobClientError] = dict(culprits(error, self.exchange.field))
        rest = [index for index in range(len(batch)) if index not in outcomes]
        for half in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            if half:
                sent = await self._send([batch[index] for index in half])
                outcomes |= dict(zip(half, sent, strict=True))
        return [outcomes[index] for index in range(len(batch))]

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

    def _give_up_on(self, batch: Sequence[Item[T, R]]) -> None:
        """Of a batch that is not to be sent any more, what is left."""
        for item in batch:
            if not item.is_settled:
                self._settle(item, closed(item.id))

    def _settle(self, item: Item[T, R], outcome: R | JobClientError) -> None:
        item.is_settled = True
        self._hand.leave(item.size)
        if item.future.done():
            return
        if isinstance(outcome, JobClientError):
            item.future.set_exception(outcome)
            item.future.exception()  # seen, though its caller may not ask
        else:
            item.future.set_result(outcome)


def too_late(item_id: str, trouble: JobClientError | None = None) -> DeadlineExceeded:
    last = f"; the last answer was {trouble}" if trouble else ""
    error = DeadlineExceeded(
        f"job {item_id}: the time given was up{last}",
        reason="CLIENT_DEADLINE_EXCEEDED",
        metadata={"id": item_id},
    )
    error.__cause__ = trouble
    return error


def closed(item_id: str) -> ClientClosed:
    return ClientClosed(f"job {item_id}: the client is closed", metadata={"id": item_id})


def until(moment: float) -> asyncio.Timeout:
    """A limit by the event loop's clock; infinity: none."""
    return asyncio.timeout_at(None if math.isinf(moment) else moment)
