"""Watches for a handler that blocks the handlers' event loop.

It logs the handler, then fails its job, and ends the worker if the loop stays blocked.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from worker_service.execution.invoke import InvocationResult
from worker_service.execution.outcome import Failed, Reason
from worker_service.execution.running_handler import RunningHandler, log_fields
from worker_service.state.silence import MAX_SECONDS_PER_TICK, Silence

log = structlog.get_logger()

TICK_SECONDS = 0.25
WARN_SECONDS = 1.0
"""A handler that blocks the loop for this long is logged."""
LIMITS_TO_END = 2
"""The worker ends when the loop is blocked for this many times the limit."""


class LoopStuck(Exception):
    """The handlers' loop stays blocked or was closed. Only a new process helps."""


class Watched(Protocol):
    """The handlers' loop; HandlerLoop implements it."""

    is_lost: bool

    def look(self) -> tuple[int, RunningHandler | None]: ...
    def stack(self) -> str: ...
    def give_up(self) -> None: ...


async def watch_loop(
    handlers: Watched,
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    tick: float = TICK_SECONDS,
) -> None:
    """Watch until cancelled. A handler that blocks the loop for `limit` seconds fails with LOOP_BLOCKED.

    Raises LoopStuck when the loop is blocked for twice as long, or is lost. Before that it gives up all
    handlers.
    """
    steps, _ = handlers.look()
    last = clock()
    silence = Silence(steps, last)
    block = _Block(handlers, limit)
    while True:
        await asyncio.sleep(tick)
        now = clock()
        steps, handler = handlers.look()
        _log_if_late(now - last - tick, handler)
        last = now
        silence.tick(steps, now)
        if handlers.is_lost or silence.seconds >= LIMITS_TO_END * limit:
            stack = handlers.stack()
            handlers.give_up()
            log.error("handler_loop_given_up", seconds=round(silence.seconds, 1), stack=stack)
            raise LoopStuck(
                f"a handler blocked the handlers' event loop for {LIMITS_TO_END * limit:g} s or closed it"
            )
        block.update(silence.seconds, handler)


class _Block:
    """How long the loop is blocked now, and what was done about it."""

    def __init__(self, handlers: Watched, limit: float) -> None:
        self._handlers = handlers
        self._limit = limit
        self._seconds = 0.0
        self._is_logged = self._is_failed = False

    def update(self, seconds: float, handler: RunningHandler | None) -> None:
        """The loop has been blocked for `seconds`, now by `handler`."""
        if seconds < self._seconds and self._is_logged:
            log.info("handler_loop_goes_on", seconds=round(self._seconds, 1))
        if seconds < self._seconds:
            self._is_logged = self._is_failed = False
        self._seconds = seconds
        if seconds >= WARN_SECONDS and not self._is_logged:
            self._is_logged = True
            self._log(handler)
        if seconds >= self._limit and not self._is_failed:
            self._is_failed = True
            self._fail(handler)

    def _fail(self, handler: RunningHandler | None) -> None:
        self._log(handler)
        if handler is not None:
            message = f"the handler blocked the event loop and all other handlers for {self._limit:g} s"
            handler.fail(InvocationResult(Failed(Reason.LOOP_BLOCKED, message)))

    def _log(self, handler: RunningHandler | None) -> None:
        """Name the handler, if the loop knows it, and where in its code it is."""
        fields = {} if handler is None else log_fields(handler.job)
        log.warning(
            "handler_loop_blocked", seconds=round(self._seconds, 1), stack=self._handlers.stack(), **fields
        )


def _log_if_late(seconds: float, handler: RunningHandler | None) -> None:
    """Warn if the whole worker stood still, heartbeats included.

    Then code held the interpreter lock all the time, or the process was stopped.
    """
    if seconds > MAX_SECONDS_PER_TICK:
        fields = {} if handler is None else log_fields(handler.job)
        log.warning("worker_stood_still", seconds=round(seconds, 1), **fields)
