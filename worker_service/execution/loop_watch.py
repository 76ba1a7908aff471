"""Notices a handler that holds up the handlers' event loop: names it, fails its job, and ends a worker whom that does not help."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from worker_service.execution.handler_loop import Guest, words_of
from worker_service.execution.invoke import Ended
from worker_service.execution.outcome import Failed, Reason
from worker_service.kafka.watchdog import MOST_SECONDS_A_TICK, Silence

log = structlog.get_logger()

TICK_SECONDS = 0.25
WARN_SECONDS = 1.0
"""A handler that holds up the loop for so long is told of."""
LIMITS_TO_END = 2
"""After so many times the limit the worker ends."""


class LoopStuck(Exception):
    """The handlers' loop does not go on: only a new process helps."""


class Watched(Protocol):
    """See HandlerLoop."""

    is_lost: bool

    def look(self) -> tuple[int, Guest | None]: ...
    def stack(self) -> str: ...
    def give_up(self) -> None: ...


async def watch_loop(
    handlers: Watched,
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    tick: float = TICK_SECONDS,
) -> None:
    """Until cancelled. A handler that holds up the loop for `limit` seconds fails with LOOP_BLOCKED. Raises LoopStuck when
    the loop is held up for twice as long, or lost; nobody waits for its handlers then.
    """
    steps, _ = handlers.look()
    last = clock()
    silence = Silence(steps, last)
    standstill = _Standstill(handlers, limit)
    while True:
        await asyncio.sleep(tick)
        now = clock()
        steps, guest = handlers.look()
        _tell_if_late(now - last - tick, guest)
        last = now
        silence.tick(steps, now)
        if handlers.is_lost or silence.seconds >= LIMITS_TO_END * limit:
            stack = handlers.stack()
            handlers.give_up()
            log.error("handler_loop_given_up", seconds=round(silence.seconds, 1), stack=stack)
            raise LoopStuck(
                f"a handler has held up the handlers' event loop for {LIMITS_TO_END * limit:g} s, or closed it"
            )
        standstill.note(silence.seconds, guest)


class _Standstill:
    """What has been done about the present standstill."""

    def __init__(self, handlers: Watched, limit: float) -> None:
        self._handlers = handlers
        self._limit = limit
        self._seconds = 0.0
        self._is_told = self._is_failed = False

    def note(self, seconds: float, guest: Guest | None) -> None:
        """The loop has stood still for so long."""
        if seconds < self._seconds and self._is_told:
            log.info("handler_loop_goes_on", seconds=round(self._seconds, 1))
        if seconds < self._seconds:
            self._is_told = self._is_failed = False
        self._seconds = seconds
        if seconds >= WARN_SECONDS and not self._is_told:
            self._is_told = True
            self._tell(guest)
        if seconds >= self._limit and not self._is_failed:
            self._is_failed = True
            self._fail(guest)

    def _fail(self, guest: Guest | None) -> None:
        self._tell(guest)
        if guest is not None:
            message = f"the handler held up the event loop, and all handlers with it, for {self._limit:g} s at a stretch"
            guest.fail(Ended(Failed(Reason.LOOP_BLOCKED, message)))

    def _tell(self, guest: Guest | None) -> None:
        """Who it is, if the loop knows, and where in its code."""
        words = {} if guest is None else words_of(guest.job)
        log.warning(
            "handler_loop_blocked", seconds=round(self._seconds, 1), stack=self._handlers.stack(), **words
        )


def _tell_if_late(seconds: float, guest: Guest | None) -> None:
    """The worker itself stood still, heartbeats included: somebody had the interpreter to himself, or stopped the process."""
    if seconds > MOST_SECONDS_A_TICK:
        words = {} if guest is None else words_of(guest.job)
        log.warning("worker_stood_still", seconds=round(seconds, 1), **words)
