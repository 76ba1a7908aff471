"""Watches with the log on a real database: whoever stores entries, and wherever a watch is resumed."""

from uuid import UUID

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.job_log import AttemptLog, EntryKind, LogEntry
from api_server.feed.ports import Subject, Topic
from tests.integration.mongo.jobs import WORKER, now, stored
from tests.integration.mongo.waiting_server import Reader, WaitingServer
from tests.waiting import until


async def append(stores: MongoStores, job_id: UUID, *numbers: int) -> None:
    entries = [LogEntry(number, now(), EntryKind.LINE, 1, WORKER, "info", "app", "x") for number in numbers]
    await stores.job_logs.append(WORKER, [AttemptLog(job_id, 1, entries)])


async def numbers(reader: Reader) -> list[int]:
    """Of the entries in the next response."""
    return [entry.number for entry in (await reader.next()).log.entries]


async def test_a_watch_tells_what_is_in_the_log_and_what_other_servers_add(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    other = await stored(stores, "processing")
    await append(stores, job.id, 1, 2)
    async with WaitingServer(stores).watching(id=str(job.id), include_log=True) as reader:
        first = await reader.next()
        assert [(entry.number, entry.message, entry.worker_id) for entry in first.log.entries] == [
            (1, "x", WORKER),
            (2, "x", WORKER),
        ]
        assert await reader.begin() == [str(job.id)]
        for number in (3, 4):
            await append(stores, other.id, number)
            await append(stores, job.id, number)
            assert await numbers(reader) == [number]

        await append(stores, job.id, 5)
        await WaitingServer(stores).complete(job.id)
        last = [await reader.next() for _ in range(3)]
        assert [entry.number for entry in last[0].log.entries] == [5]
        assert last[1].job.result["n"] == 3
        assert last[2].ended.reason == "JOB_ENDED"


async def test_a_watch_of_a_log_goes_on_on_another_server(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    wanted = {"id": str(job.id), "include_log": True}
    await append(stores, job.id, 1)
    async with WaitingServer(stores).watching(**wanted) as reader:
        assert await numbers(reader) == [1]
        token = reader.token
    await append(stores, job.id, 2, 3)
    async with WaitingServer(stores).watching(**wanted, resume_token=token) as reader:
        assert await numbers(reader) == [2, 3]
        await reader.begin()
        token = reader.token
    async with WaitingServer(stores).watching(**wanted, resume_token=token) as reader:
        assert (await reader.next()).HasField("started")
        await append(stores, job.id, 4)
        assert await numbers(reader) == [4]
    async with WaitingServer(stores).watching(id=str(job.id), resume_token=token) as reader:
        assert (await reader.next()).HasField("started")
        without_log = reader.token
    async with WaitingServer(stores).watching(**wanted, resume_token=without_log) as reader:
        assert await numbers(reader) == [1, 2, 3, 4]


async def test_it_goes_on_after_the_cursor_of_hints_is_lost(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    async with WaitingServer(stores).watching(id=str(job.id), include_log=True) as reader:
        await reader.begin()
        await append(stores, job.id, 1)
        assert await numbers(reader) == [1]
        await stores.client.admin.command("killAllSessions", [])
        await append(stores, job.id, 2)
        assert await numbers(reader) == [2]


@pytest.mark.parametrize("is_first", [True, False])
async def test_hints_name_the_logs_that_change_and_nothing_else(
    empty_stores: MongoStores, *, is_first: bool
) -> None:
    """Also if no job has ever logged."""
    job = await stored(empty_stores, "processing")
    if not is_first:
        await append(empty_stores, job.id, 1)
    hinted: list[Subject] = []
    async with empty_stores.hints.open() as stream:
        await append(empty_stores, job.id, 2)
        await append(empty_stores, job.id, 3)
        await stored(empty_stores, "completed")

        async def has_two() -> bool:
            hinted.extend(await stream.next())
            return len(hinted) >= 2

        await until(has_two, "both changes are hinted")
        assert await stream.next() == []
    assert hinted == [Subject(Topic.JOB_LOG, job.id)] * 2
