"""Writes that are sent again, for a few seconds, while their outcome is unknown.

After a lost connection or a time-out, the statement may be done, may still run, or may never have arrived.
Every statement here has a guard (status and attempt, a unique `_id`, a time), so that doing it twice has the
same effect as doing it once. When a majority has answered a later sending, each job has been changed, so that
its guard no longer holds, or was refused by its guard. So an earlier sending that is still under way changes
nothing.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeVar

import pymongo
import structlog
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError, WaitQueueTimeoutError

from api_server.adapters.mongo.client import OPERATION_SECONDS, is_outage, note_failure, within
from api_server.domain.errors import StoreUnavailable

WRITE_SECONDS = 4.0
"""How long a write is sent again and read back before StoreUnavailable is raised.

The lag of a majority is added.
"""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two sendings. They double each time, and vary at random by half."""

T = TypeVar("T")
log = structlog.get_logger()

_lag: ContextVar[float] = ContextVar("lag", default=0.0)
"""Seconds by which a majority lagged when the present write began."""


class Writes:
    """Runs each write in a task of its own, so that a cancelled caller does not interrupt it."""

    def __init__(self, lag: Callable[[], float] = lambda: 0.0) -> None:
        """`lag`: seconds by which a majority of the replica set lags. Each write gets this much more time."""
        self._lag = lag
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The write's answer.

        Raises StoreUnavailable after WRITE_SECONDS and the lag; the write may still have been done.
        """
        task = asyncio.create_task(_within_limit(write, self._lag()))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def drain(self) -> None:
        """Wait for the writes that are under way. Each ends within WRITE_SECONDS and the lag."""
        if self._running:
            await asyncio.wait(self._running)


def _log_failure(task: asyncio.Task[Any]) -> None:
    """Log the error of a write whose caller was cancelled. An outage is logged elsewhere."""
    if task.cancelled() or isinstance(error := task.exception(), StoreUnavailable):
        return
    if error is not None:
        log.warning("mongo_write_failed_after_cancel", exc_info=error)


async def _within_limit(write: Callable[[], Awaitable[T]], lag: float) -> T:
    _lag.set(lag)
    async with within(WRITE_SECONDS + lag):
        return await write()


async def resend(send: Callable[[], Awaitable[T]]) -> T:
    """The answer to `send`, which is called again while the outcome is unknown.

    Use it inside Writes.run, which limits the time.
    """
    for pause in pauses():
        try:
            with _operation_limit():
                return await send()
        except (ServerSelectionTimeoutError, WaitQueueTimeoutError):
            # The operation's whole time has passed without a server: a longer wait helps no caller.
            raise
        except PyMongoError as error:
            if not is_outage(error):
                raise
            note_failure(error)
            log.debug("mongo_sent_again", error=type(error).__name__, detail=str(error)[:300])
        await asyncio.sleep(pause)
    raise AssertionError("pauses never end")


def _operation_limit() -> AbstractContextManager[None]:
    """The driver's limit, or a longer one while a majority lags.

    If a write timed out before a majority can have it, sending it again would not help: that waits for the
    same majority.
    """
    lag = _lag.get()
    return pymongo.timeout(OPERATION_SECONDS + lag) if lag else nullcontext()


def pauses() -> Iterator[float]:
    """Seconds to wait before each next try, without an end."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
        pause = min(2 * pause, LONGEST_PAUSE)
