"""Waiting with a limit."""

import asyncio
from collections.abc import Awaitable
from typing import Any


async def ends_within(seconds: float, work: Awaitable[Any]) -> bool:
    """Wait for `work`, for `seconds` at most; whether it ended. If it did not, it is cancelled."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return False
    return True
