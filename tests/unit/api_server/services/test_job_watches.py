"""A watch tells the present states, then each change, and can be resumed anywhere without a gap."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_server.domain.changes import WatchFilter
from api_server.domain.errors import JobNotFound, ResumeTokenExpired
from api_server.domain.job import Status
from api_server.feed import missed_states
from api_server.feed.watches import End
from api_server.services import filter_watch
from api_server.services.watch_events import Heartbeat, JobPlace, Started
from tests.unit.api_server.feed.feed_fakes import Database, job, position
from tests.unit.api_server.services.watching_server import Reader, Server, shown
from tests.waiting import until

ALL = WatchFilter()


@pytest.fixture
def database() -> Database:
    return Database()


async def test_a_watch_of_one_job_tells_each_state_and_ends_with_the_job(database: Database) -> None:
    database.create(job(1, payload={"large": 1}))
    database.create(job(2))
    async with Server(database).watching(job(1).id) as reader:
        assert await reader.take(2) == [(1, 1, Status.QUEUED), Started()]
        database.change(job(2).id, status=Status.PROCESSING)
        for status in (Status.PROCESSING, Status.QUEUED, Status.PROCESSING, Status.COMPLETED):
            database.change(job(1).id, status=status)
        assert await reader.take(5) == [
            (1, 2, Status.PROCESSING),
            (1, 3, Status.QUEUED),
            (1, 4, Status.PROCESSING),
            (1, 5, Status.COMPLETED),
            End.JOB_ENDED,
        ]
        with pytest.raises(StopAsyncIteration):
            await reader.next()


async def test_a_watch_of_a_job_that_has_ended_ends_at_once(database: Database) -> None:
    database.create(job(1))
    database.change(job(1).id, status=Status.CANCELLED)
    async with Server(database).watching(job(1).id) as reader:
        assert await reader.take(3) == [(1, 2, Status.CANCELLED), Started(), End.JOB_ENDED]


async def test_a_job_that_does_not_exist_is_an_error(database: Database) -> None:
    async with Server(database).watching(job(1).id) as reader:
        with pytest.raises(JobNotFound):
            await reader.next()


async def test_a_watch_of_one_job_goes_on_after_a_revision(database: Database) -> None:
    database.create(job(1))
    database.change(job(1).id, status=Status.PROCESSING)
    async with Server(database).watching(job(1).id, JobPlace(2)) as reader:
        assert await reader.next() == Started()
        database.change(job(1).id, status=Status.COMPLETED)
        assert await reader.take(2) == [(1, 3, Status.COMPLETED), End.JOB_ENDED]
    async with Server(database).watching(job(1).id, JobPlace(2)) as reader:
        assert await reader.take(3) == [(1, 3, Status.COMPLETED), Started(), End.JOB_ENDED]
    async with Server(database).watching(job(1).id, JobPlace(3)) as reader:
        assert await reader.take(2) == [Started(), End.JOB_ENDED]


async def test_a_watch_with_a_filter_tells_present_states_and_then_changes(database: Database) -> None:
    failed_data = WatchFilter(frozenset({Status.FAILED, Status.QUEUED}), frozenset({"data", "file"}))
    database.create(job(1, type="data"))
    database.create(job(2))
    database.create(job(3, type="file"))
    database.change(job(3).id, status=Status.PROCESSING)
    async with Server(database).watching(failed_data) as reader:
        assert await reader.next() == (1, 1, Status.QUEUED)
        assert reader.resume_from is None
        assert await reader.next() == Started()
        assert reader.resume_from == position(4)
        database.change(job(3).id, status=Status.FAILED)
        database.change(job(1).id, status=Status.PROCESSING)
        database.change(job(2).id, status=Status.FAILED)
        database.create(job(4, type="file"))
        assert await reader.take(2) == [(3, 3, Status.FAILED), (4, 1, Status.QUEUED)]
        assert reader.resume_from == position(8)


async def test_it_says_when_more_jobs_match_than_it_shows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_watch, "PRESENT_JOBS", 2)
    for number in (1, 2):
        database.create(job(number))
    async with Server(database).watching(ALL) as reader:
        assert (await reader.take(3))[2] == Started(is_truncated=False)
    database.create(job(3))
    async with Server(database).watching(ALL) as reader:
        assert (await reader.take(3))[2] == Started(is_truncated=True)


async def test_a_change_between_the_begin_and_the_read_is_told_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.create(job(1))
    page = database.page

    async def changed_before(*arguments: Any) -> Any:
        database.change(job(1).id, status=Status.PROCESSING)
        return await page(*arguments)

    monkeypatch.setattr(database, "page", changed_before)
    async with Server(database).watching(ALL) as reader:
        assert await reader.take(2) == [(1, 2, Status.PROCESSING), Started()]
        database.change(job(1).id, status=Status.QUEUED)
        assert await reader.next() == (1, 3, Status.QUEUED)


async def test_without_news_a_heartbeat_comes_and_its_position_goes_on(database: Database) -> None:
    database.create(job(1))
    others = WatchFilter(types=frozenset({"data"}))
    async with Server(database).watching(others, heartbeat=0.02) as reader:
        assert await reader.take(2) == [Started(), Heartbeat()]
        database.change(job(1).id, status=Status.PROCESSING)
        await until(lambda: passes(reader), "the position goes on")
    async with Server(database).watching(job(1).id, heartbeat=0.02) as reader:
        assert await reader.take(3) == [(1, 2, Status.PROCESSING), Started(), Heartbeat()]
        assert reader.resume_from == JobPlace(2)


async def passes(reader: Reader) -> bool:
    assert await reader.next() == Heartbeat()
    return reader.resume_from == position(2)


@pytest.mark.parametrize("why", [End.SERVER_STOPPING, End.SLOW_READER])
async def test_a_watch_that_ends_can_be_resumed_where_it_was(database: Database, why: End) -> None:
    database.create(job(1))
    server = Server(database)
    async with server.watching(ALL) as reader:
        await reader.take(2)
        server.watches.end_all(why)
        assert await reader.next() is why
        assert reader.resume_from == position(1)
    async with Server(database).watching(job(1).id, JobPlace(1)) as reader:
        assert await reader.next() == Started()


async def test_a_watch_that_has_missed_changes_begins_anew(database: Database) -> None:
    server = Server(database)
    async with server.watching(ALL) as reader:
        assert await reader.next() == Started()
        server.watches.end_all(End.HISTORY_LOST)
        assert await reader.next() is End.HISTORY_LOST
        assert reader.resume_from is None


async def test_too_many_missed_changes_are_not_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missed_states, "MISSED_CHANGES", 2)
    for number in (1, 2, 3):
        database.create(job(number))
    async with Server(database).watching(ALL, position(1)) as reader:
        assert await reader.take(3) == [(2, 1, Status.QUEUED), (3, 1, Status.QUEUED), Started()]
    async with Server(database).watching(ALL, position(0)) as reader:
        with pytest.raises(ResumeTokenExpired):
            await reader.next()


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(list(Status))), max_size=25),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8), st.integers(1, 9)), max_size=3),
)
async def test_a_watch_that_is_resumed_again_and_again_misses_nothing(
    steps: list[tuple[int, Status]], rounds: list[tuple[int, int, int]]
) -> None:
    """Each round is on another server. Each state stands at the change that has made it.

    `rounds`: how many steps come before the watch and during it, and after how many of its events it breaks.
    """
    database = Database()
    told: dict[str, tuple[int, int, Status]] = {}
    resume_from: Any = position(0)
    for before, during, reads in [*rounds, (len(steps), 0, 1000)]:
        play(database, steps[:before])
        left = steps[before:]
        async with Server(database).watching(ALL, resume_from, heartbeat=0.03) as reader:
            for _ in range(reads):
                content = await reader.next()
                if content == Heartbeat():
                    break
                resume_from = reader.resume_from
                if content == Started():
                    play(database, left[:during])
                    left = left[during:]
                else:
                    told[resume_from] = content
        steps = left

    for at, (number, revision, status) in told.items():
        change = next(each for each in database.log if each.position == at)
        assert (change.job_id.int, change.revision) == (number, revision)
        assert change.values["status"] is status
    last = {number: (number, revision, status) for number, revision, status in sorted(told.values())}
    assert last == {each.id.int: shown(each) for each in database.jobs.values()}


def play(database: Database, steps: list[tuple[int, Status]]) -> None:
    for number, status in steps:
        if job(number).id in database.jobs:
            database.change(job(number).id, status=status)
        else:
            database.create(job(number))
