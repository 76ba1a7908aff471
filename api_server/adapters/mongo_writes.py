"""Writes whose outcome is unknown: sent again until one sending is answered, within a few seconds.

A lost connection or a time-out says nothing: the statement may have been done, may still run, or may never have arrived.
Every statement here is guarded (by status and attempt, by an `_id` that exists once, by a time) so that doing it twice
is doing it once. Once a later sending has been answered by a majority, each job either has been moved past the guard or
was refused by it, and a sending that still lingers finds nothing to change.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import structlog
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError, WaitQueueTimeoutError

from api_server.adapters.mongo_client import is_outage, within

WRITE_SECONDS = 4.0
"""How long a write is sent again and read back before the caller hears StoreUnavailable."""
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.5
"""Seconds between two sendings; doubling, spread by half either way."""

T = TypeVar("T")
log = structlog.get_logger()


class Writes:
    """Runs each write to its end in a task of its own, so that a cancelled caller never tears one."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    async def run(self, write: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The write's answer. Raises StoreUnavailable after WRITE_SECONDS; the write may have been done all the same."""
        task = asyncio.create_task(_within_limit(write))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def drain(self) -> None:
        """Wait for the writes under way; each ends by itself within WRITE_SECONDS."""
        if self._running:
            await asyncio.wait(self._running)


def _log_failure(task: asyncio.Task[Any]) -> None:
    """Of a write whose caller has gone, nobody else would hear."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("mongo_write_failed_after_cancel", exc_info=error)


async def _within_limit(write: Callable[[], Awaitable[T]]) -> T:
    async with within(WRITE_SECONDS):
        return await write()


async def resend(send: Callable[[], Awaitable[T]]) -> T:
    """The answer to `send`, called again while the outcome is unknown. To be used inside Writes.run, which ends it."""
    for pause in pauses():
        try:
            return await send()
        except (ServerSelectionTimeoutError, WaitQueueTimeoutError):
            # No server for as long as an operation may take: waiting longer helps no caller.
            raise
        except PyMongoError as error:
            if not is_outage(error):
                raise
            log.warning("mongo_sent_again", error=type(error).__name__, detail=str(error)[:300])
        await asyncio.sleep(pause)
    raise AssertionError("pauses never end")


def pauses() -> Iterator[float]:
    """Seconds to wait before each next try, without end."""
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311 - spreads load, keeps no secret
        pause = min(2 * pause, LONGEST_PAUSE)
