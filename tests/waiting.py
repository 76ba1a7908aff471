"""Waiting until something holds. Deadlines are long, so that a busy machine meets them too.

The pause between two looks grows, so that a long wait costs the servers few calls.
"""

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

DEADLINE = 120.0
FIRST_PAUSE, LAST_PAUSE, GROWTH = 0.01, 0.2, 1.3


def wait_for(holds: Callable[[], Any], what: str = "it holds", deadline: float = DEADLINE) -> Any:
    """The first true value of `holds`. Raises AssertionError after `deadline` seconds."""
    end, pauses = time.monotonic() + deadline, _pauses()
    while not (value := holds()):
        assert time.monotonic() < end, f"waited {deadline:g} s in vain until {what}"
        time.sleep(next(pauses))
    return value


async def until(holds: Callable[[], Any], what: str = "it holds", deadline: float = DEADLINE) -> Any:
    """The same for the event loop. `holds` may be asynchronous."""
    end, pauses = time.monotonic() + deadline, _pauses()
    while not (value := await _result(holds)):
        assert time.monotonic() < end, f"waited {deadline:g} s in vain until {what}"
        await asyncio.sleep(next(pauses))
    return value


def _pauses() -> Iterator[float]:
    """Seconds."""
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * GROWTH, LAST_PAUSE)


async def _result(holds: Callable[[], Any]) -> Any:
    value = holds()
    return await value if inspect.isawaitable(value) else value
