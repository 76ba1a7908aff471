"""Hedged calls: a call without an answer is sent to another server as well, and the first answer counts.

A server that hangs does not refuse calls, so only a time-out reveals it. Only for calls that are safe to
repeat.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, overload

import grpc

HEDGING_DELAY = 1.0
"""Seconds without an answer before a call is sent a second time."""
DELAYS_IN_TIMEOUT = 3
"""The delay is at most a third of the call's timeout, so that the second attempt has two thirds."""
MIN_ATTEMPT_SECONDS = 0.05
"""No attempt starts with less time left."""
FAILOVER_CODES = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
"""After these another server may answer. CANCELLED: a server that shuts down gives it to a call that came too
late.
"""

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Call(Awaitable[T_co], Protocol[T_co]):
    """What grpc.aio returns for a unary call."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None: ...
    def cancel(self) -> bool: ...


@dataclass(slots=True)
class Target(Generic[T]):
    """A server, or a name of several, that a call can be sent to.

    `send(seconds)` starts the call with that timeout. `record(answered)` is called with whether an answer
    came in time. An error about the call's content counts as an answer.
    """

    send: Callable[[float], Call[T]]
    record: Callable[[bool], None] = lambda _answered: None


class RetryBudget:
    """Limits second attempts: up to `max_tokens` in a burst, and in the long run a `ratio` of all answered
    calls.

    Servers that are slow because they are overloaded must not get twice the load.
    """

    def __init__(self, max_tokens: float = 20.0, ratio: float = 0.1) -> None:
        self._max_tokens, self._ratio = max_tokens, ratio
        self._tokens = max_tokens

    def earn(self) -> None:
        """A call was answered: add `ratio` tokens."""
        self._tokens = min(self._max_tokens, self._tokens + self._ratio)

    def spend(self) -> bool:
        """Take one token. False if there is none: then no second attempt is allowed."""
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def hedged_call(
    next_target: Callable[[], Target[T]],
    seconds: float,
    budget: RetryBudget,
    *,
    max_failovers: int = 0,
    delay: float = HEDGING_DELAY,
) -> T:
    """The first answer of the targets, within `seconds` in all.

    A second attempt starts if there is no answer after `delay` seconds and the budget allows it; this happens
    once. If an attempt fails with one of FAILOVER_CODES and no other is running, the next target is tried, up
    to `max_failovers` times. Raises AioRpcError: another error of a target, or the failure of the last
    attempt.
    """
    attempts = _Attempts(next_target, seconds)
    try:
        attempts.start()
        done = await first_done(attempts.running, min(delay, seconds / DELAYS_IN_TIMEOUT))
        if done is None and budget.spend():
            attempts.record_late()
            attempts.start()
        while True:
            try:
                answer = await attempts.result(done or await first_done(attempts.running))
            except grpc.aio.AioRpcError as error:
                if error.code() not in FAILOVER_CODES:
                    raise
                done = None
                if attempts.running:
                    continue
                if not max_failovers or attempts.seconds_left < MIN_ATTEMPT_SECONDS:
                    raise
                max_failovers -= 1
                attempts.start()
            else:
                budget.earn()
                return answer
    finally:
        attempts.cancel()


class _Attempts(Generic[T]):
    """The running attempts of one call."""

    __slots__ = ("_clock", "_deadline", "_next_target", "running")

    def __init__(self, next_target: Callable[[], Target[T]], seconds: float) -> None:
        self._next_target = next_target
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + seconds
        self.running: dict[Call[T], Target[T]] = {}

    @property
    def seconds_left(self) -> float:
        return self._deadline - self._clock()

    def start(self) -> None:
        target = self._next_target()
        self.running[target.send(self.seconds_left)] = target

    def record_late(self) -> None:
        for target in self.running.values():
            target.record(False)

    async def result(self, done: Call[T]) -> T:
        """The answer of an attempt that is done. Raises AioRpcError."""
        target = self.running.pop(done)
        try:
            answer = await done
        except grpc.aio.AioRpcError as error:
            target.record(error.code() not in FAILOVER_CODES)
            raise
        target.record(True)
        return answer

    def cancel(self) -> None:
        for call in self.running:
            call.cancel()


@overload
async def first_done(calls: Iterable[Call[T]]) -> Call[T]: ...
@overload
async def first_done(calls: Iterable[Call[T]], seconds: float) -> Call[T] | None: ...
async def first_done(calls: Iterable[Call[T]], seconds: float | None = None) -> Call[T] | None:
    """The first of the calls that succeeds or fails; None if none does within `seconds`."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[Call[T] | None] = loop.create_future()

    def set_first(call: Call[T] | None) -> None:
        if not first.done():
            first.set_result(call)

    for call in calls:
        call.add_done_callback(set_first)
    timer = None if seconds is None else loop.call_later(seconds, set_first, None)
    try:
        return await first
    finally:
        if timer is not None:
            timer.cancel()
