"""The change stream is open while somebody waits, and what it delivers reaches the waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from api_server.domain.errors import StoreUnavailable
from api_server.feed import change_feed
from api_server.feed.change_feed import LINGER_SECONDS, ChangeFeed
from api_server.feed.waits import Notice, Waits
from api_server.ports import Changes
from tests.waiting import until

JOB = UUID(int=1)
LONG = 1e9


class FakeStream:
    """Delivers what a test puts into `arrived`: changes, or an error."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[Changes | Exception] = asyncio.Queue()
        self.opened = 0
        self.is_open = False
        self.refuses: Exception | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator["FakeStream"]:
        self.opened += 1
        if self.refuses is not None:
            raise self.refuses
        self.is_open = True
        try:
            yield self
        finally:
            self.is_open = False

    async def next(self) -> Changes:
        arrived = await self.arrived.get()
        if isinstance(arrived, Exception):
            raise arrived
        return arrived


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(
    stream: FakeStream, waits: Waits, clock: Callable[[], float] = lambda: 0.0
) -> AsyncIterator[None]:
    task = asyncio.create_task(ChangeFeed(stream, waits, clock).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.fixture
def stream() -> FakeStream:
    return FakeStream()


@pytest.fixture
def waits() -> Waits:
    return Waits(9)


async def test_the_stream_is_closed_while_nobody_waits(stream: FakeStream, waits: Waits) -> None:
    async with running(stream, waits):
        for _ in range(10):
            await asyncio.sleep(0)

    assert stream.opened == 0


async def test_a_wait_looks_again_when_the_stream_is_open_and_then_hears_of_the_end(
    stream: FakeStream, waits: Waits
) -> None:
    async with running(stream, waits):
        with waits.on(JOB, LONG) as wait:
            assert await wait.notice() is Notice.LOOK
            stream.arrived.put_nowait(Changes([UUID(int=2)]))
            stream.arrived.put_nowait(Changes([JOB]))
            assert await wait.notice() is Notice.ENDED


async def test_the_stream_is_closed_some_time_after_the_last_wait(stream: FakeStream, waits: Waits) -> None:
    clock = Clock()
    async with running(stream, waits, clock):
        with waits.on(JOB, LONG) as wait:
            await wait.notice()
        clock.now = LINGER_SECONDS - 0.1
        stream.arrived.put_nowait(Changes([]))
        await until(stream.arrived.empty)
        with waits.on(JOB, LONG):
            stream.arrived.put_nowait(Changes([]))
            await until(stream.arrived.empty)
        clock.now = 2 * LINGER_SECONDS - 0.2
        stream.arrived.put_nowait(Changes([]))
        await until(stream.arrived.empty)
        assert (stream.opened, stream.is_open) == (1, True)

        clock.now = 2 * LINGER_SECONDS
        stream.arrived.put_nowait(Changes([]))
        await until(lambda: not stream.is_open)


@pytest.mark.parametrize("error", [StoreUnavailable(), RuntimeError("a fault")], ids=["outage", "fault"])
async def test_after_a_failure_it_is_opened_again_and_waits_look_again(
    stream: FakeStream, waits: Waits, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feed, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(change_feed, "log", Quiet())
    async with running(stream, waits):
        with waits.on(JOB, LONG) as wait:
            assert await wait.notice() is Notice.LOOK
            stream.refuses = error
            stream.arrived.put_nowait(error)
            await until(lambda: stream.opened > 2)
            stream.refuses = None
            assert await wait.notice() is Notice.LOOK


class Quiet:
    def exception(self, *_: Any) -> None:
        pass
