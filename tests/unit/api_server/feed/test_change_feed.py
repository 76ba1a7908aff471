"""The change stream is open while somebody needs it, and what it delivers reaches waits and watches."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from api_server.domain.changes import WatchFilter
from api_server.domain.errors import ResumeTokenExpired, StoreUnavailable
from api_server.domain.job import Status
from api_server.feed import change_feed
from api_server.feed.change_feed import LINGER_SECONDS, ChangeFeed
from api_server.feed.demand import Demand
from api_server.feed.waits import Notice, Waits
from api_server.feed.watches import End, Told, Watch, Watches
from tests.unit.api_server.feed.feed_fakes import Database, job, position
from tests.waiting import until

LONG = 1e9
ALL = WatchFilter()


class Quiet:
    """A log without lines."""

    def exception(self, *_: Any) -> None:
        pass

    warning = exception


class Parts:
    """A feed with all that it needs, and a clock that stands still."""

    def __init__(self, database: Database) -> None:
        self.now = 0.0
        self.demand = Demand()
        self.waits = Waits(99, self.demand)
        self.watches = Watches(99, self.demand)
        store = cast("Any", database)
        self.feed = ChangeFeed(store, store, self.demand, self.waits, self.watches, lambda: self.now)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Parts"]:
        task = asyncio.create_task(self.feed.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(change_feed, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(change_feed, "log", Quiet())
    return Database()


async def states(watch: Watch, count: int) -> list[tuple[int, int, Status]]:
    """The next states: job, revision and status."""
    told = [await watch.next(30) for _ in range(count)]
    return [(each.job.id.int, each.job.revision, each.job.status) for each in told if isinstance(each, Told)]


async def test_the_stream_is_closed_while_nobody_waits(database: Database) -> None:
    async with Parts(database).running():
        for _ in range(10):
            await asyncio.sleep(0)

    assert database.opened == []


async def test_a_wait_looks_again_when_the_stream_is_open_and_then_hears_of_the_end(
    database: Database,
) -> None:
    first, second = database.create(job(1)), database.create(job(2))
    async with Parts(database).running() as parts:
        with parts.waits.on(first.id, LONG) as wait:
            assert await wait.notice() is Notice.LOOK
            database.change(second.id, status=Status.COMPLETED)
            database.change(first.id, status=Status.PROCESSING)
            database.change(first.id, status=Status.COMPLETED)
            assert await wait.notice() is Notice.ENDED

    assert database.opened == [(None, True)]
    assert database.reads == []


async def test_a_wait_that_begins_later_can_see_that_ends_were_read_before(database: Database) -> None:
    first, second = database.create(job(1)), database.create(job(2))
    async with Parts(database).running() as parts:
        with parts.waits.on(first.id, LONG) as wait:
            assert await wait.notice() is Notice.LOOK
            before = parts.waits.position
            database.change(second.id, status=Status.COMPLETED)

            await until(lambda: parts.waits.position > before)


async def test_a_watch_is_told_each_change_after_its_position_in_order(database: Database) -> None:
    async with Parts(database).running() as parts:
        with parts.watches.place():
            since = await parts.feed.position()
            with parts.watches.on(ALL, since) as watch:
                database.create(job(1))
                database.change(job(1).id, status=Status.PROCESSING)
                database.create(job(2))
                database.change(job(1).id, status=Status.COMPLETED)

                assert await states(watch, 4) == [
                    (1, 1, Status.QUEUED),
                    (1, 2, Status.PROCESSING),
                    (2, 1, Status.QUEUED),
                    (1, 3, Status.COMPLETED),
                ]
                await until(lambda: parts.feed.told_to == position(4))
    assert database.reads == []


async def test_a_job_that_was_there_before_is_read_once(database: Database) -> None:
    database.create(job(1))
    database.create(job(2))
    async with Parts(database).running() as parts:
        with parts.watches.place():
            since = await parts.feed.position()
            with parts.watches.on(job(1).id, since) as watch:
                for status in (Status.PROCESSING, Status.QUEUED, Status.PROCESSING):
                    database.change(job(1).id, status=status)
                    database.change(job(2).id, status=status)
                    [(_, revision, shown)] = await states(watch, 1)
                    assert (revision, shown) == (database.jobs[job(1).id].revision, status)
    assert database.reads == [[job(1).id]]


async def test_waits_need_only_ends_and_watches_all_changes_from_where_the_stream_is(
    database: Database,
) -> None:
    database.create(job(1))
    async with Parts(database).running() as parts:
        with parts.waits.on(job(1).id, LONG):
            await until(lambda: database.opened)
            with parts.watches.place():
                await parts.feed.position()
            assert database.opened == [(None, True), (position(1), False)]
            # Some time after the last watch, ends are enough again.
            parts.now = LINGER_SECONDS - 0.1
            await until(parts.feed._has_all.is_set)
            parts.now = LINGER_SECONDS + 0.1
            await until(lambda: len(database.opened) == 3)
    assert database.opened[2:] == [(position(1), True)]


async def test_the_stream_is_closed_some_time_after_it_was_needed_last(database: Database) -> None:
    async with Parts(database).running() as parts:
        with parts.waits.on(job(1).id, LONG):
            await until(lambda: database.open_streams == 1)
        parts.now = LINGER_SECONDS - 0.1
        database.create(job(1))
        await until(lambda: parts.feed.told_to == position(1))
        assert database.open_streams == 1

        parts.now = LINGER_SECONDS + 0.1
        await until(lambda: database.open_streams == 0)
        with parts.waits.on(job(1).id, LONG) as wait:
            assert await wait.notice() is Notice.LOOK
    assert database.opened == [(None, True), (None, True)]


async def test_after_an_outage_nothing_is_missed(database: Database) -> None:
    database.create(job(1))
    async with Parts(database).running() as parts:
        with parts.watches.place(), parts.waits.on(job(1).id, LONG) as wait:
            since = await parts.feed.position()
            with parts.watches.on(ALL, since) as watch:
                assert await wait.notice() is Notice.LOOK
                database.fail(StoreUnavailable())
                await until(lambda: len(database.opened) > 2)
                database.change(job(1).id, status=Status.CANCELLED)
                database.fail(None)

                assert await states(watch, 1) == [(1, 2, Status.CANCELLED)]
                assert await wait.notice() is Notice.ENDED


@pytest.mark.parametrize(
    "error", [ResumeTokenExpired(), RuntimeError("a fault")], ids=["history lost", "fault"]
)
async def test_when_changes_were_missed_watches_end_and_waits_look_again(
    database: Database, error: Exception
) -> None:
    async with Parts(database).running() as parts:
        with parts.watches.place(), parts.waits.on(job(1).id, LONG) as wait:
            since = await parts.feed.position()
            with parts.watches.on(ALL, since) as watch:
                assert await wait.notice() is Notice.LOOK
                database.fail(error)
                assert await watch.next(30) is End.HISTORY_LOST
                database.fail(None)
                assert await wait.notice() is Notice.LOOK
    assert database.opened[-1] == (None, False)


async def test_a_read_that_fails_loses_no_change(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    database.create(job(1))
    summaries, fails = database.summaries, [StoreUnavailable()]

    async def sometimes(job_ids: Any) -> Any:
        if fails:
            raise fails.pop()
        return await summaries(job_ids)

    monkeypatch.setattr(database, "summaries", sometimes)
    async with Parts(database).running() as parts:
        with parts.watches.place():
            since = await parts.feed.position()
            with parts.watches.on(ALL, since) as watch:
                database.change(job(1).id, status=Status.PROCESSING)

                assert await states(watch, 1) == [(1, 2, Status.PROCESSING)]


async def test_a_watch_cannot_begin_while_the_stream_cannot_be_opened(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feed, "OPEN_SECONDS", 0.02)
    database.fail(StoreUnavailable())
    async with Parts(database).running() as parts:
        with parts.watches.place(), pytest.raises(StoreUnavailable):
            await parts.feed.position()
