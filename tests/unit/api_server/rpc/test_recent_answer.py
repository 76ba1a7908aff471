"""Callers share an answer for a moment."""

import asyncio

import pytest

from api_server.rpc.recent_answer import FRESH_SECONDS, RecentAnswer
from tests.clocks import MonotonicClock


class Source:
    """Counts the answers that it makes."""

    def __init__(self) -> None:
        self.clock = MonotonicClock()
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.faults: list[Exception] = []
        self.answer = RecentAnswer(self._make, self.clock)

    async def _make(self) -> int:
        self.count += 1
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop()
        return self.count


async def test_an_answer_is_shared_until_it_is_too_old() -> None:
    source = Source()
    source.gate.clear()
    calls = [asyncio.create_task(source.answer.get()) for _ in range(5)]
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*calls) == [1] * 5
    source.clock.now += FRESH_SECONDS
    assert await source.answer.get() == 1
    source.clock.now += 0.01
    assert await source.answer.get() == 2


async def test_after_a_failure_or_a_caller_that_leaves_the_next_one_tries_again() -> None:
    source = Source()
    source.faults = [ValueError("a fault")]
    with pytest.raises(ValueError, match="a fault"):
        await source.answer.get()
    source.gate.clear()
    leaving = asyncio.create_task(source.answer.get())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    source.gate.set()
    assert await source.answer.get() == 3
