"""Writes whose outcome is unknown: sent again until one sending is answered, within a few seconds.

A lost connection or a time-out says nothing: the statement may have been done, may still run, or may never have arrived.
Every statement here is guarded (by status and attempt, by an `_id` that exists once, by a time) so that doing it twice
is doing it once. Once a later sending has been answered by a majority, each job either has been moved past the guard or
was refused by it, and a sending that still lingers finds nothing to change.
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
"""How long a write is sent again and read back before the caller hears StoreUnavailable; longer by the lag of a majority."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two sendings; doubling, spread by half either way."""

T = TypeVar("T")
log = structlog.get_logger()

_lag: ContextVar[float] = ContextVar("lag", default=0.0)
"""Seconds by which a majority was behind when the present write began."""


class Writes:
    """Runs each write to its end in a task of its own, so that a cancelled caller never tears one."""

    def __init__(self, lag: Callable[[], float] = lambda: 0.0) -> None:
        """`lag`: seconds by which a majority of the database is behind. Each write waits so much longer for it."""
        self._lag = lag
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The write's answer. Raises StoreUnavailable after WRITE_SECONDS and the lag; the write may have been done all the
        same.
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
        """Wait for the writes under way; each ends by itself within WRITE_SECONDS and the lag."""
        if self._running:
            await asyncio.wait(self._running)


def _log_failure(task: asyncio.Task[Any]) -> None:
    """Of a write whose caller has gone, nobody else would hear; of an outage the log tells anyway."""
    if task.cancelled() or isinstance(error := task.exception(), StoreUnavailable):
        return
    if error is not None:
        log.warning("mongo_write_failed_after_cancel", exc_info=error)


async def _within_limit(write: Callable[[], Awaitable[T]], lag: float) -> T:
    _lag.set(lag)
    async with within(WRITE_SECONDS + lag):
        return await write()


async def resend(send: Callable[[], Awaitable[T]]) -> T:
    """The answer to `send`, called again while the outcome is unknown. To be used inside Writes.run, which ends it."""
    for pause in pauses():
        try:
            with _operation_limit():
                return await send()
        except (ServerSelectionTimeoutError, WaitQueueTimeoutError):
            # No server for as long as an operation may take: waiting longer helps no caller.
            raise
        except PyMongoError as error:
            if not is_outage(error):
                raise
            note_failure(error)
            log.debug("mongo_sent_again", error=type(error).__name__, detail=str(error)[:300])
        await asyncio.sleep(pause)
    raise AssertionError("pauses never end")


def _operation_limit() -> AbstractContextManager[None]:
    """The driver's own limit, or a longer one where a majority lags: a write that is given up before a majority can have
    it is sent again in vain, since what is sent again waits for what was written last.
    """
    lag = _lag.get()
    return pymongo.timeout(OPERATION_SECONDS + lag) if lag else nullcontext()


def pauses() -> Iterator[float]:
    """Seconds to wait before each next try, without end."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
        pause = min(2 * pause, LONGEST_PAUSE)
