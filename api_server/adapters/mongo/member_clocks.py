"""Warns when the clocks of the database's members, or this machine's own, differ from the primary's.

All times are the primary's. When another member becomes the primary, they jump by what the two clocks differ: schedules
start early or late by so much.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from pymongo.errors import PyMongoError
from pymongo.read_preferences import Secondary
from pymongo.server_type import SERVER_TYPE

from api_server.adapters.mongo.client import CODEC, READ_SECONDS, Client
from api_server.adapters.mongo.clock import MongoClock
from api_server.adapters.mongo.time_bounds import Bounds, combined, of_answer

CHECK_SECONDS = 60.0
WARN_SECONDS = 1.0
"""A difference above this is told."""
TELL_AGAIN_SECONDS = 3600.0
"""As long as it lasts, it is told so often."""
QUESTIONS = 3
"""For each secondary, since the driver picks one at random."""
OWN = "this server"

log = structlog.get_logger()


class MemberClocks:
    """`check` compares once, `watch` for ever."""

    def __init__(
        self, client: Client, clock: MongoClock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._monotonic = monotonic
        self._told: dict[str, float] = {}
        """Whose difference was told when."""

    async def watch(self) -> None:
        while True:
            try:
                await self.check()
            except (PyMongoError, TimeoutError) as error:
                # Whether members can be asked is not what this is about.
                log.debug("member_clocks_not_compared", error=type(error).__name__)
            except Exception:
                log.exception("member_clocks_not_compared")
            await asyncio.sleep(CHECK_SECONDS)

    async def check(self) -> None:
        """Raises PyMongoError, TimeoutError when a secondary does not answer."""
        self._compare(OWN, Bounds(datetime.now(UTC), 0.0, self._monotonic()))
        for _ in range(QUESTIONS * self._secondaries()):
            asked_at = self._monotonic()
            async with asyncio.timeout(READ_SECONDS):
                answer = await self._client.admin.command(
                    "hello", read_preference=Secondary(), codec_options=CODEC
                )
            self._compare(answer["me"], of_answer(answer["localTime"], asked_at, self._monotonic()))

    def _secondaries(self) -> int:
        servers = self._client.topology_description.server_descriptions().values()
        return sum(server.server_type == SERVER_TYPE.RSSecondary for server in servers)

    def _compare(self, whose: str, shown: Bounds) -> None:
        _, seconds = combined(self._clock.bounds, shown)
        if abs(seconds) <= WARN_SECONDS:
            if self._told.pop(whose, None) is not None:
                log.info("clocks_agree", whose=whose)
        elif self._monotonic() - self._told.get(whose, -TELL_AGAIN_SECONDS) >= TELL_AGAIN_SECONDS:
            self._told[whose] = self._monotonic()
            log.warning("clocks_differ", whose=whose, ahead_of_primary_seconds=round(seconds, 3))
