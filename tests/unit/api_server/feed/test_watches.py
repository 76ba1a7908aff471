"""What a watch is told, and what happens to one that reads too slowly."""

import asyncio

import pytest

from api_server.domain.changes import WatchFilter
from api_server.domain.errors import TooManyWatches
from api_server.domain.job import Status
from api_server.feed.demand import Demand
from api_server.feed.watches import End, Told, Watch, Watches
from tests.unit.api_server.feed.feed_fakes import job, position

ALL = WatchFilter()


def make(limit: int = 9) -> Watches:
    return Watches(limit, Demand())


async def told(watch: Watch) -> list[int]:
    """The jobs that it has been told of."""
    found = []
    while isinstance(each := await watch.next(0.01), Told):
        found.append(each.job.id.int)
    return found


async def test_a_watch_is_told_of_its_own_jobs_only() -> None:
    watches = make()
    queued = WatchFilter(statuses=frozenset({Status.QUEUED, Status.PROCESSING}))
    of_type = WatchFilter(types=frozenset({"data"}))
    labelled = WatchFilter(labels={"team": "a"})
    with (
        watches.on(job(1).id) as one,
        watches.on(ALL) as every,
        watches.on(queued) as by_status,
        watches.on(of_type) as by_type,
        watches.on(labelled) as by_label,
    ):
        watches.tell(job(1, labels={"team": "a", "x": "y"}), position(1))
        watches.tell(job(2, status=Status.FAILED), position(2))
        watches.tell(job(3, type="data", status=Status.COMPLETED, labels={"team": "b"}), position(3))

        assert await told(one) == [1]
        assert await told(every) == [1, 2, 3]
        assert await told(by_status) == [1]
        assert await told(by_type) == [3]
        assert await told(by_label) == [1]


async def test_it_is_told_only_what_comes_after_its_position() -> None:
    watches = make()
    with watches.on(ALL, position(2)) as watch:
        for number in (1, 2, 3, 4):
            watches.tell(job(number), position(number))

        assert await told(watch) == [3, 4]


async def test_a_watch_that_is_too_far_behind_ends_and_keeps_nothing() -> None:
    watch = Watch(ALL, limit=2)
    for number in (1, 2):
        watch.tell(Told(job(number), position(number)))
    assert isinstance(await watch.next(1), Told)
    for number in (3, 4, 5):
        watch.tell(Told(job(number), position(number)))

    assert await watch.next(1) is End.SLOW_READER
    assert await watch.next(1) is End.SLOW_READER
    assert not watch._queue


async def test_a_watch_that_is_as_far_behind_as_it_may_be_goes_on() -> None:
    watch = Watch(ALL, limit=2)
    for number in (1, 2):
        watch.tell(Told(job(number), position(number)))

    assert await told(watch) == [1, 2]


async def test_it_hears_of_nothing_when_nothing_happens() -> None:
    assert await Watch(ALL).next(0.01) is None


async def test_a_reader_that_waits_is_woken() -> None:
    watch = Watch(ALL)
    reading = asyncio.create_task(watch.next(30))
    await asyncio.sleep(0)
    watch.tell(Told(job(1), position(1)))

    assert isinstance(await reading, Told)


async def test_when_the_server_stops_all_watches_end_later_ones_too() -> None:
    watches = make()
    with watches.on(job(1).id) as one, watches.on(ALL) as every:
        watches.close()
        assert await one.next(1) is End.SERVER_STOPPING
        assert await every.next(1) is End.SERVER_STOPPING
    with watches.on(ALL) as late:
        assert await late.next(1) is End.SERVER_STOPPING


async def test_nothing_is_kept_of_watches_that_have_ended() -> None:
    demand = Demand()
    watches = Watches(9, demand)
    with watches.place():
        with watches.on(job(1).id), watches.on(ALL):
            assert watches.is_about(job(1).id)
            assert watches.is_about(job(2).id)
        assert demand.is_for_all
    assert not demand.is_there
    assert not watches.is_about(job(1).id)
    assert not watches._of_jobs


def test_there_are_as_many_places_as_the_limit_says() -> None:
    watches = make(2)
    with watches.place():
        with watches.place(), pytest.raises(TooManyWatches, match="2 calls watch"), watches.place():
            pass
        with watches.place():
            pass
