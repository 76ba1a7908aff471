"""A watch of one job also tells what its handler logs: in order, each entry once, wherever it is resumed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Status
from api_server.domain.job_log import MAX_ENTRIES
from api_server.feed import hint_feed
from api_server.feed.ports import Subject, Topic
from api_server.feed.watches import End
from api_server.services.watch_events import Heartbeat, JobPlace, Started
from tests.unit.api_server.feed.feed_fakes import Database, Logs, job
from tests.unit.api_server.services.watching_server import Reader, Server
from tests.waiting import until

JOB = job(1).id
WITH_LOG = JobPlace(0, 0)


@pytest.fixture
def database() -> Database:
    database = Database()
    database.create(job(1))
    return database


@pytest.fixture
def logs() -> Logs:
    return Logs()


async def begun(reader: Reader) -> list[Any]:
    """What it tells before `started`."""
    found = []
    while (content := await reader.next()) != Started():
        found.append(content)
    return found


async def test_entries_that_are_there_come_first_and_then_new_ones(database: Database, logs: Logs) -> None:
    logs.append(JOB, 1, 2)
    async with Server(database, logs).watching(JOB, WITH_LOG) as reader:
        assert await begun(reader) == [[1, 2], (1, 1, Status.QUEUED)]
        assert reader.resume_from == JobPlace(1, 2)
        logs.append(JOB, 3)
        assert await reader.next() == [3]
        logs.append(JOB, 4)
        assert await reader.next() == [4]
        assert reader.resume_from == JobPlace(1, 4)


async def test_what_was_logged_before_a_change_of_the_status_comes_before_it(
    database: Database, logs: Logs
) -> None:
    async with Server(database, logs).watching(JOB, WITH_LOG) as reader:
        await begun(reader)
        for number, status in ((1, Status.PROCESSING), (2, Status.QUEUED), (3, Status.COMPLETED)):
            logs.append(JOB, number, is_hinted=False)
            database.change(JOB, status=status)
            assert await reader.take(2) == [[number], (1, number + 1, status)]
        assert reader.resume_from == JobPlace(4, 3)
        assert await reader.next() is End.JOB_ENDED


async def test_a_job_that_has_ended_shows_its_log_and_its_state(database: Database, logs: Logs) -> None:
    logs.append(JOB, 1)
    database.change(JOB, status=Status.FAILED)
    async with Server(database, logs).watching(JOB, WITH_LOG) as reader:
        assert await begun(reader) == [[1], (1, 2, Status.FAILED)]
        assert await reader.next() is End.JOB_ENDED


async def test_a_watch_without_the_log_reads_none_and_opens_no_stream_of_hints(
    database: Database, logs: Logs
) -> None:
    logs.append(JOB, 1)
    async with Server(database, logs).watching(JOB) as reader:
        await begun(reader)
        logs.append(JOB, 2)
        database.change(JOB, status=Status.COMPLETED)
        assert await reader.take(2) == [(1, 2, Status.COMPLETED), End.JOB_ENDED]
    assert (logs.reads, logs.hints.opened) == (0, 0)


async def test_nothing_is_read_while_nothing_happens(database: Database, logs: Logs) -> None:
    async with Server(database, logs).watching(JOB, WITH_LOG, heartbeat=0.01) as reader:
        await begun(reader)
        # One read at the begin, and perhaps one when the stream of hints is open.
        assert await reader.take(10) == [Heartbeat()] * 10
        assert logs.reads <= 2
        logs.hints.changed(Subject(Topic.JOB_LOG, job(2).id))
        assert await reader.take(10) == [Heartbeat()] * 10
        assert logs.reads <= 2


async def test_it_goes_on_after_an_entry(database: Database, logs: Logs) -> None:
    logs.append(JOB, 1, 2, 3)
    async with Server(database, logs).watching(JOB, JobPlace(1, 2)) as reader:
        assert await begun(reader) == [[3]]
    async with Server(database, logs).watching(JOB, JobPlace(1, 3)) as reader:
        assert await begun(reader) == []


async def test_entries_that_are_not_kept_until_they_are_read_are_left_out(
    database: Database, logs: Logs
) -> None:
    logs.append(JOB, 1)
    async with Server(database, logs).watching(JOB, WITH_LOG) as reader:
        await begun(reader)
        for number in range(2, MAX_ENTRIES + 12):
            logs.append(JOB, number, is_hinted=False)
        logs.hints.changed(Subject(Topic.JOB_LOG, JOB))
        assert await reader.next() == list(range(12, MAX_ENTRIES + 12))


async def test_entries_that_came_during_an_outage_are_told(
    database: Database, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hint_feed, "PAUSE_SECONDS", 0.01)
    async with Server(database, logs).watching(JOB, WITH_LOG) as reader:
        await begun(reader)
        logs.append(JOB, 1)
        assert await reader.next() == [1]
        for error in (StoreUnavailable(), ValueError()):
            logs.hints.fail(error)
            await until(lambda: logs.hints.open_streams == 0, "the stream has failed")
            number = logs.hints.opened + 10
            logs.append(JOB, number, is_hinted=False)
            logs.hints.fail(None)
            assert await reader.next() == [number]


async def test_watches_end_when_the_server_stops(database: Database, logs: Logs) -> None:
    server = Server(database, logs)
    server.hints.close()
    async with server.watching(JOB, WITH_LOG) as reader:
        await begun(reader)
        assert await reader.next() is End.SERVER_STOPPING


@settings(max_examples=15)
@given(
    st.lists(st.integers(1, 5), max_size=12),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), max_size=4),
)
async def test_each_entry_comes_once_and_in_order_however_often_the_watch_is_resumed(
    calls: list[int], rounds: list[tuple[int, int]]
) -> None:
    """`calls`: how many entries are appended at a time. `rounds`: how many calls come before a watch, and
    after how many of its events it breaks. Each round is on another server.
    """
    database, logs = Database(), Logs()
    database.create(job(1))
    told: list[int] = []
    place: Any = WITH_LOG
    number = 0
    for before, reads in [*rounds, (len(calls), 1000)]:
        for count in calls[:before]:
            logs.append(JOB, *range(number + 1, number + count + 1))
            number += count
        calls = calls[before:]
        async with Server(database, logs).watching(JOB, place, heartbeat=0.03) as reader:
            for _ in range(reads):
                content = await reader.next()
                if content == Heartbeat():
                    break
                place = reader.resume_from
                if isinstance(content, list):
                    told += content
                if content == Started() and calls:
                    logs.append(JOB, *range(number + 1, number + calls[0] + 1))
                    number += calls.pop(0)
    assert told == list(range(1, number + 1))
