"""Warns when the clock of another member of the replica set, or of this machine, differs from the primary's.

All times are the primary's. When another member becomes the primary, times jump by the difference of the two
clocks, and schedules start early or late by this difference.
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
"""A larger difference is logged."""
LOG_AGAIN_SECONDS = 3600.0
"""How often a difference is logged while it lasts."""
QUESTIONS = 3
"""Questions for each secondary. The driver selects a secondary at random, so one question may miss some."""
OWN = "this server"

log = structlog.get_logger()


class MemberClocks:
    """`check` compares the clocks once, `watch` again and again."""

    def __init__(
        self, client: Client, clock: MongoClock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._monotonic = monotonic
        self._logged: dict[str, float] = {}
        """When the difference of each clock was logged last."""

    async def watch(self) -> None:
        while True:
            try:
                await self.check()
            except (PyMongoError, TimeoutError) as error:
                # A member that cannot be reached is logged elsewhere.
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
            if self._logged.pop(whose, None) is not None:
                log.info("clocks_agree", whose=whose)
        elif self._monotonic() - self._logged.get(whose, -LOG_AGAIN_SECONDS) >= LOG_AGAIN_SECONDS:
            self._logged[whose] = self._monotonic()
            log.warning("clocks_differ", whose=whose, ahead_of_primary_seconds=round(seconds, 3))
