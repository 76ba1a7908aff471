"""What the primary says of itself: its time, and how far a majority of the replica set is behind it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api_server.adapters.mongo.client import CODEC, READ_SECONDS, Client, within

LONGEST_LAG = 4.0
"""Seconds for which a write waits for a majority that lags, at most. Beyond it, callers had better hear that it does."""


class Primary:
    """Asked whenever somebody wants to know the time, which is about once a second."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lag = 0.0

    @property
    def lag(self) -> float:
        """Seconds by which a majority was behind at the latest answer, LONGEST_LAG at most."""
        return self._lag

    async def read_time(self) -> datetime:
        """UTC. Raises StoreUnavailable."""
        answer: Mapping[str, Any] = {}
        try:
            async with within(READ_SECONDS):
                answer = await self._client.admin.command("hello", codec_options=CODEC)
        finally:
            # One that does not answer is not waited for longer.
            self._lag = min(LONGEST_LAG, lag_of(answer))
        time: datetime = answer["localTime"]
        return time


def lag_of(answer: Mapping[str, Any]) -> float:
    """Seconds, in whole ones, between the primary's last write and the last one that a majority has."""
    last_write = answer.get("lastWrite", {})
    if "majorityWriteDate" not in last_write:
        return 0.0
    behind: float = (last_write["lastWriteDate"] - last_write["majorityWriteDate"]).total_seconds()
    return max(0.0, behind)
