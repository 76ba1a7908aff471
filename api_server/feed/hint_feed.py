"""Reads which logs and operations any process changes, while somebody in this process watches one.

This stream is apart from that of jobs (change_feed.py), whose positions callers have as resume tokens. It
needs no positions: when changes may have been missed, all watches get a hint.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from api_server.domain.errors import ResumeTokenExpired, StoreUnavailable
from api_server.feed.change_feed import LINGER_SECONDS, PAUSE_SECONDS
from api_server.feed.hints import Hints
from api_server.feed.ports import HintStream

log = structlog.get_logger()


class HintFeed:
    """`run` opens the stream when the first watch wants hints, and closes it after the last one."""

    def __init__(
        self, stream: HintStream, hints: Hints, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._hints = hints
        self._monotonic = monotonic

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._hints.wanted()
            try:
                await self._follow()
                continue
            except StoreUnavailable:
                pass  # The store has logged the outage.
            except ResumeTokenExpired:
                log.warning("hints_missed")
            except Exception:
                log.exception("hint_stream_failed")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _follow(self) -> None:
        """Give hints until nobody has wanted any for a while. Raises StoreUnavailable, ResumeTokenExpired."""
        async with self._stream.open() as stream:
            # What has changed before the stream was open was told to nobody.
            self._hints.give_all()
            until = self._monotonic()
            while self._hints.are_wanted or self._monotonic() < until:
                if self._hints.are_wanted:
                    until = self._monotonic() + LINGER_SECONDS
                self._hints.give(await stream.next())
