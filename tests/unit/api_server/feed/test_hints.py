"""Who gets a hint, and when the stream of hints is open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from api_server.feed.change_feed import LINGER_SECONDS
from api_server.feed.hint_feed import HintFeed
from api_server.feed.hints import Hints
from api_server.feed.ports import Subject, Topic
from api_server.feed.watches import End, Hint, Told, Watch
from tests.clocks import MonotonicClock
from tests.unit.api_server.feed.feed_fakes import HintSource, job, position
from tests.waiting import until

ONE, OTHER = (Subject(Topic.JOB_LOG, UUID(int=number)) for number in (1, 2))


def watch() -> Watch:
    return Watch(ONE.id)


@asynccontextmanager
async def following(feed: HintFeed) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_watches_get_hints_about_their_subject_only() -> None:
    hints, one, same, other = Hints(), watch(), watch(), watch()
    with hints.on(ONE, one), hints.on(ONE, same), hints.on(OTHER, other):
        hints.give([ONE])
        assert [await each.next(0.01) for each in (one, same, other)] == [Hint(), Hint(), None]
        hints.give_all()
        assert [await each.next(0.01) for each in (one, same, other)] == [Hint()] * 3
    hints.give([ONE, OTHER])
    assert await one.next(0.01) is None


async def test_several_hints_are_one_and_come_before_what_is_queued() -> None:
    one = watch()
    one.tell(Told(job(1), position(1)))
    one.hint()
    one.hint()
    assert await one.next(1) == Hint()
    assert isinstance(await one.next(1), Told)
    assert await one.next(0.01) is None


async def test_when_the_server_stops_watches_end_later_ones_too() -> None:
    hints, one, late = Hints(), watch(), watch()
    with hints.on(ONE, one):
        hints.close()
        assert await one.next(1) is End.SERVER_STOPPING
    with hints.on(ONE, late):
        assert await late.next(1) is End.SERVER_STOPPING


def test_nothing_is_kept_of_watches_that_have_ended() -> None:
    hints = Hints()
    with hints.on(ONE, watch()):
        with hints.on(ONE, watch()), hints.on(OTHER, watch()):
            assert hints.are_wanted
        assert hints.are_wanted
    assert not hints.are_wanted
    assert not hints._watches


async def test_the_stream_is_open_while_hints_are_wanted_and_a_while_longer() -> None:
    source, hints, clock = HintSource(), Hints(), MonotonicClock()
    async with following(HintFeed(source, hints, clock)):
        for _ in range(20):  # turns of the event loop, in which the feed could open it
            await asyncio.sleep(0)
        assert source.opened == 0
        for _ in range(2):
            with hints.on(ONE, one := watch()):
                assert await one.next(30) == Hint()
                clock.now += LINGER_SECONDS
                source.changed(ONE)
                assert await one.next(30) == Hint()
            assert source.open_streams == 1
            clock.now += LINGER_SECONDS + 1
            await until(lambda: source.open_streams == 0, "the stream is closed")
    assert source.opened == 2
