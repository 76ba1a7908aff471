"""Waiting until something holds. Deadlines are long, so that a busy machine meets them too."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

DEADLINE = 60.0
POLL, ASYNC_POLL = 0.05, 0.01


def wait_for(holds: Callable[[], Any], what: str = "it holds", deadline: float = DEADLINE) -> Any:
    """The first true value of `holds`. Raises AssertionError after `deadline` seconds."""
    end = time.monotonic() + deadline
    while not (value := holds()):
        assert time.monotonic() < end, f"waited {deadline:g} s in vain until {what}"
        time.sleep(POLL)
    return value


async def until(holds: Callable[[], Any], what: str = "it holds", deadline: float = DEADLINE) -> Any:
    """The same for the event loop. `holds` may be asynchronous."""
    end = time.monotonic() + deadline
    while not (value := await _result(holds)):
        assert time.monotonic() < end, f"waited {deadline:g} s in vain until {what}"
        await asyncio.sleep(ASYNC_POLL)
    return value


async def _result(holds: Callable[[], Any]) -> Any:
    value = holds()
    return await value if inspect.isawaitable(value) else value
