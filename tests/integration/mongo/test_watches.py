"""Watches on a real database: whoever changes a job, and wherever a watch is resumed, nothing is missed."""

import asyncio
import re
from typing import Any
from uuid import UUID

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import JobNotFound, ResumeTokenExpired, SlowReader, TooManyWatches
from api_server.domain.job import ProgressNote
from api_server.domain.transitions import cancel
from api_server.rpc import watch_stream
from contract_runtime.errors import InvalidArgument
from tests.integration.mongo.jobs import WORKER, insert, new_job, now, stored, uuid7
from tests.integration.mongo.waiting_server import WaitingServer
from tests.waiting import until


async def note_progress(stores: MongoStores, job_id: UUID, percent: float) -> None:
    await stores.jobs.note_progress(WORKER, [ProgressNote(job_id, 1, percent, "x")], now())


async def test_a_watch_of_a_job_sees_all_that_other_servers_do_with_it(stores: MongoStores) -> None:
    job = await stored(stores, payload={"large": "x"})
    other = WaitingServer(stores)
    async with WaitingServer(stores).watching(id=str(job.id)) as reader:
        assert await reader.begin() == [str(job.id)]
        await other.start(job.id)
        await note_progress(stores, job.id, 50)
        started, noted = (await reader.next()).job, (await reader.next()).job
        assert (started.revision, started.attempt, started.worker_id) == (2, 1, WORKER)
        assert (noted.revision, noted.progress.percent, noted.attempt) == (3, 50, 1)
        assert not noted.HasField("payload")
        assert not noted.history

        await other.run(job.id)
        ended = (await reader.next()).job

        assert (ended.revision, ended.result["n"], ended.payload["large"]) == (4, 3, "x")
        assert len(ended.history) == 1
        assert (await reader.next()).ended.reason == "JOB_ENDED"
        await asyncio.wait_for(reader.call, 30)


async def test_a_watch_with_a_filter_sees_new_jobs_and_changes_of_old_ones(stores: MongoStores) -> None:
    labels = {"watch": "filter"}
    old = await stored(stores, labels=labels)
    other = WaitingServer(stores)
    async with WaitingServer(stores).watching(labels=["watch=filter"]) as reader:
        assert await reader.begin() == [str(old.id)]
        new = await stored(stores, labels=labels)
        await stored(stores, labels={"watch": "another"})
        await other.run(old.id)
        await other.jobs.apply([cancel(new.id, "call", "", now())])

        assert await reader.states(4) == [
            (str(new.id), 1, "queued"),
            (str(old.id), 2, "processing"),
            (str(old.id), 3, "completed"),
            (str(new.id), 2, "cancelled"),
        ]


async def test_status_and_type_may_have_several_values(stores: MongoStores) -> None:
    labels = {"watch": "several"}
    wanted = {"status": ["failed", "cancelled"], "type": ["data", "file"], "labels": ["watch=several"]}
    async with WaitingServer(stores).watching(**wanted) as reader:
        assert await reader.begin() == []
        jobs = [await stored(stores, "failed", job_type=each, labels=labels) for each in ("data", "compute")]
        jobs.append(await stored(stores, "cancelled", job_type="file", labels=labels))

        assert await reader.states(2) == [(str(jobs[0].id), 3, "failed"), (str(jobs[2].id), 3, "cancelled")]


async def test_a_watch_goes_on_without_a_gap_on_another_server(stores: MongoStores) -> None:
    labels = {"watch": "resumed"}
    wanted: dict[str, Any] = {"labels": ["watch=resumed"]}
    jobs = [await insert(stores, new_job(labels=labels), now()) for _ in range(3)]
    async with WaitingServer(stores).watching(**wanted) as reader:
        assert set(await reader.begin()) == {str(job.id) for job in jobs}
        await WaitingServer(stores).run(jobs[0].id)
        assert await reader.states(1) == [(str(jobs[0].id), 2, "processing")]
        token = reader.token
    await WaitingServer(stores).run(jobs[1].id)
    new = await insert(stores, new_job(labels=labels), now())

    async with WaitingServer(stores).watching(**wanted, resume_token=token) as reader:
        missed = []
        while not (response := await reader.next()).HasField("started"):
            missed.append((response.job.id, response.job.revision))
        assert missed == [(str(jobs[0].id), 3), (str(jobs[1].id), 3), (str(new.id), 1)]

        # The server does not know this job: two changes at once could come as one state.
        await WaitingServer(stores).start(jobs[2].id)
        assert await reader.states(1) == [(str(jobs[2].id), 2, "processing")]
        await WaitingServer(stores).complete(jobs[2].id)
        assert await reader.states(1) == [(str(jobs[2].id), 3, "completed")]


async def test_a_watch_of_one_job_goes_on_on_another_server(stores: MongoStores) -> None:
    job = await stored(stores, "processing")
    async with WaitingServer(stores).watching(id=str(job.id)) as reader:
        await reader.begin()
        token = reader.token
    async with WaitingServer(stores).watching(id=str(job.id), resume_token=token) as reader:
        assert await reader.begin() == []
        await note_progress(stores, job.id, 1)
        assert await reader.states(1) == [(str(job.id), 3, "processing")]
    await WaitingServer(stores).run(job.id)
    async with WaitingServer(stores).watching(id=str(job.id), resume_token=token) as reader:
        assert await reader.states(1) == [(str(job.id), 4, "completed")]


async def test_the_stream_goes_on_after_its_cursor_is_lost(stores: MongoStores) -> None:
    job = await stored(stores)
    async with WaitingServer(stores).watching(id=str(job.id)) as reader:
        await reader.begin()
        await stores.client.admin.command("killAllSessions", [])
        await WaitingServer(stores).run(job.id)

        assert await reader.states(2) == [(str(job.id), 2, "processing"), (str(job.id), 3, "completed")]


async def test_a_watch_sees_jobs_in_a_database_that_had_none(empty_stores: MongoStores) -> None:
    async with WaitingServer(empty_stores).watching() as reader:
        assert await reader.begin() == []
        job = await stored(empty_stores)
        assert await reader.states(1) == [(str(job.id), 1, "queued")]


async def test_a_job_that_does_not_exist_is_an_error(stores: MongoStores) -> None:
    async with WaitingServer(stores).watching(id=str(uuid7(now()))) as reader:
        with pytest.raises(JobNotFound):
            await reader.next()


async def test_beyond_the_limit_a_watch_is_refused(stores: MongoStores) -> None:
    server = WaitingServer(stores, limit=1)
    job = await stored(stores)
    async with server.watching(id=str(job.id)) as reader:
        await reader.begin()
        async with server.watching(id=str(job.id)) as second:
            with pytest.raises(TooManyWatches):
                await second.next()
    async with server.watching(id=str(job.id)) as reader:
        assert await reader.begin() == [str(job.id)]


async def test_an_old_token_and_one_that_is_none_are_refused(stores: MongoStores) -> None:
    async with WaitingServer(stores).watching() as reader:
        await reader.begin()
        await until(lambda: reader.token, "a token")
        position = await reader_position(stores)
    for wrong, error in (
        (f"82{int(position[2:10], 16) - 3700:08X}{position[10:]}", ResumeTokenExpired),
        (f"82{'00' * 20}", InvalidArgument),
        (f"82{'FF' * 20}", InvalidArgument),
    ):
        with pytest.raises(error):
            async with stores.changes.open(wrong) as stream:
                await stream.next()


async def reader_position(stores: MongoStores) -> str:
    async with stores.changes.open() as stream:
        assert re.fullmatch("82[0-9A-F]+", stream.position)
        return stream.position


@pytest.mark.parametrize("only_ends", [False, True])
async def test_changes_that_are_not_needed_are_left_out(stores: MongoStores, *, only_ends: bool) -> None:
    async with stores.changes.open(only_ends=only_ends) as stream:
        await stored(stores, "completed")
        needed = await stored(stores, "completed")
        found: list[UUID] = []
        async with asyncio.timeout(30):
            while not found:
                found += (await stream.next(lambda job_id: job_id == needed.id)).ended
    assert found == [needed.id]


async def test_positions_are_ordered_as_strings(stores: MongoStores) -> None:
    async with stores.changes.open() as stream:
        positions = [stream.position]
        for _ in range(3):
            await stored(stores, "completed")
            changes = await stream.next()
            positions += [each.position for each in changes.changes]
            positions.append(stream.position)
        await stream.next()
        positions.append(stream.position)

    assert positions == sorted(positions)
    assert positions[-1] > positions[0]


async def test_a_caller_that_reads_nothing_is_dropped(
    stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_stream, "WRITE_SECONDS", 0.1)
    job = await stored(stores)
    async with WaitingServer(stores).watching(id=str(job.id)) as reader:
        with pytest.raises(SlowReader):
            await asyncio.wait_for(reader.call, 30)


async def test_watches_end_when_the_server_stops(stores: MongoStores) -> None:
    server = WaitingServer(stores)
    async with server.watching(labels=["watch=stopped"]) as reader:
        await reader.begin()
        server.watches.close()

        response = await reader.next()

        assert (response.ended.reason, bool(response.resume_token)) == ("SERVER_STOPPING", True)
        await asyncio.wait_for(reader.call, 30)
