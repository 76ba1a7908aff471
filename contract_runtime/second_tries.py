"""A call that gets no answer is sent a second time, to somebody else, while the first one may still be answered.

A server that stands still does not refuse calls: only their time-out tells. For calls that are safe to repeat.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, overload

import grpc

PATIENCE = 1.0
"""Seconds without an answer after which a call is sent a second time. Shorter where the call's own time is short."""
TRIES_IN_TIME = 3
"""So that the second try has two thirds of the call's time."""
LEAST_SECONDS = 0.05
"""With less time left no try is begun."""
ELSEWHERE = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
"""Another server may answer. A server that ends says CANCELLED of a call that came too late."""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Call(Awaitable[T_co], Protocol[T_co]):
    """What grpc.aio returns for a unary call."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None: ...
    def cancel(self) -> bool: ...


@dataclass(slots=True)
class Place(Generic[T]):
    """Where a call can be sent.

    `send` begins the call, with so many seconds for it. `note` is told whether it was answered in time; an error that is about
    the call's content is an answer.
    """

    send: Callable[[float], Call[T]]
    note: Callable[[bool], None] = lambda _answered: None


class Allowance:
    """How many calls may be sent a second time: `most` in a moment, and in the long run a `share` of all calls.

    Servers that are slow because they have too much to do must not be given twice as much.
    """

    def __init__(self, most: float = 20.0, share: float = 0.1) -> None:
        self._most, self._share = most, share
        self._left = most

    def earn(self) -> None:
        """A call was answered."""
        self._left = min(self._most, self._left + self._share)

    def spend(self) -> bool:
        """Whether one more may be sent."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


async def first_answer(
    next_place: Callable[[], Place[T]],
    seconds: float,
    allowance: Allowance,
    *,
    failures: int = 0,
    patience: float = PATIENCE,
) -> T:
    """The first answer to come from the places that are asked one after the other, within so many seconds in all.

    The next place is asked when there is no answer for `patience` seconds, which happens once, and when a place has failed and
    no other try is under way, which happens up to `failures` times. Raises AioRpcError: what the last place failed of, or an
    error that is an answer.
    """
    tries = _Tries(next_place, seconds)
    try:
        tries.begin()
        ended = await first_to_end(tries.under_way, min(patience, seconds / TRIES_IN_TIME))
        if ended is None and allowance.spend():
            tries.note_late()
            tries.begin()
        while True:
            try:
                answer = await tries.outcome(ended or await first_to_end(tries.under_way))
            except grpc.aio.AioRpcError as error:
                if error.code() not in ELSEWHERE:
                    raise
                ended = None
                if tries.under_way:
                    continue
                if not failures or tries.seconds_left < LEAST_SECONDS:
                    raise
                failures -= 1
                tries.begin()
            else:
                allowance.earn()
                return answer
    finally:
        tries.cancel()


class _Tries(Generic[T]):
    """The tries of one call that have not ended."""

    __slots__ = ("_clock", "_give_up", "_next_place", "under_way")

    def __init__(self, next_place: Callable[[], Place[T]], seconds: float) -> None:
        self._next_place = next_place
        self._clock = asyncio.get_running_loop().time
        self._give_up = self._clock() + seconds
        self.under_way: dict[Call[T], Place[T]] = {}

    @property
    def seconds_left(self) -> float:
        return self._give_up - self._clock()

    def begin(self) -> None:
        place = self._next_place()
        self.under_way[place.send(self.seconds_left)] = place

    def note_late(self) -> None:
        for place in self.under_way.values():
            place.note(False)

    async def outcome(self, ended: Call[T]) -> T:
        """Of a try that has ended. Raises AioRpcError."""
        place = self.under_way.pop(ended)
        try:
            answer = await ended
        except grpc.aio.AioRpcError as error:
            place.note(error.code() not in ELSEWHERE)
            raise
        place.note(True)
        return answer

    def cancel(self) -> None:
        for call in self.under_way:
            call.cancel()


@overload
async def first_to_end(calls: Iterable[Call[T]]) -> Call[T]: ...
@overload
async def first_to_end(calls: Iterable[Call[T]], seconds: float) -> Call[T] | None: ...
async def first_to_end(calls: Iterable[Call[T]], seconds: float | None = None) -> Call[T] | None:
    """The first of them to end, whatever it ends with; None if none does within so many seconds."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[Call[T] | None] = loop.create_future()

    def tell(call: Call[T] | None) -> None:
        if not first.done():
            first.set_result(call)

    for call in calls:
        call.add_done_callback(tell)
    timer = None if seconds is None else loop.call_later(seconds, tell, None)
    try:
        return await first
    finally:
        if timer is not None:
            timer.cancel()
