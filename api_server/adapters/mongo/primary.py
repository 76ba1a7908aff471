"""The primary's time, and how far a majority of the replica set lags behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api_server.adapters.mongo.client import CODEC, READ_SECONDS, Client, within

LONGEST_LAG = 4.0
"""The longest lag, in seconds, that a write waits for.

With a longer one, callers should get an error instead.
"""


class Primary:
    """Asked for the time about once a second."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lag = 0.0

    @property
    def lag(self) -> float:
        """Seconds by which a majority lagged at the latest answer, at most LONGEST_LAG."""
        return self._lag

    async def read_time(self) -> datetime:
        """The primary's time, UTC. Raises StoreUnavailable."""
        answer: Mapping[str, Any] = {}
        try:
            async with within(READ_SECONDS):
                answer = await self._client.admin.command("hello", codec_options=CODEC)
        finally:
            # If the primary does not answer, writes get no additional time.
            self._lag = min(LONGEST_LAG, lag_of(answer))
        time: datetime = answer["localTime"]
        return time


def lag_of(answer: Mapping[str, Any]) -> float:
    """Whole seconds between the primary's latest write and the latest write that a majority has."""
    last_write = answer.get("lastWrite", {})
    if "majorityWriteDate" not in last_write:
        return 0.0
    behind: float = (last_write["lastWriteDate"] - last_write["majorityWriteDate"]).total_seconds()
    return max(0.0, behind)
