"""Calls that wait for a job's end, on a real database: whoever ends the job, they answer with its end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import JobNotFound, StoreUnavailable, TooManyWaits
from api_server.domain.transitions import cancel
from job_client._gen.jobs.v1 import job_pb2
from tests.integration.mongo.jobs import now, set_fields, stored, uuid7
from tests.integration.mongo.waiting_server import PATIENCE, WaitingServer
from tests.waiting import until


@pytest.fixture
def server(stores: MongoStores) -> WaitingServer:
    return WaitingServer(stores)


async def waiting(server: WaitingServer, call: Awaitable[job_pb2.Job]) -> asyncio.Future[job_pb2.Job]:
    """The call, once it waits."""
    task = asyncio.ensure_future(call)
    await until(lambda: server.waits._waits, "the call waits")
    return task


async def test_a_wait_ends_with_the_job_that_its_own_server_ends(
    stores: MongoStores, server: WaitingServer
) -> None:
    job = await stored(stores)
    call = await waiting(server, server.get(job.id, "30s"))
    await server.run(job.id)

    answer = await asyncio.wait_for(call, PATIENCE)

    assert (answer.status, answer.revision, answer.result["hash"]) == (job_pb2.Job.completed, 3, "abc")


async def test_a_wait_ends_with_the_job_that_another_server_ends(
    stores: MongoStores, server: WaitingServer
) -> None:
    job = await stored(stores)
    async with server.following():
        call = await waiting(server, server.get(job.id, "30s"))
        await WaitingServer(stores).run(job.id)

        assert (await asyncio.wait_for(call, PATIENCE)).status == job_pb2.Job.completed


async def test_many_waits_end_each_with_its_own_job(stores: MongoStores, server: WaitingServer) -> None:
    jobs = [await stored(stores) for _ in range(20)]
    async with server.following():
        calls = [asyncio.ensure_future(server.get(job.id, "30s")) for job in jobs for _ in range(3)]
        await until(lambda: len(server.waits._waits) == len(jobs), "all wait")
        other = WaitingServer(stores)
        for number, job in enumerate(jobs):
            await (other if number % 2 else server).run(job.id)
        answers = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)

    assert [answer.id for answer in answers] == [str(job.id) for job in jobs for _ in range(3)]
    assert {answer.status for answer in answers} == {job_pb2.Job.completed}


async def test_a_failed_and_a_cancelled_job_have_ended_too(
    stores: MongoStores, server: WaitingServer
) -> None:
    jobs = [await stored(stores), await stored(stores)]
    calls = [asyncio.ensure_future(server.get(job.id, "30s")) for job in jobs]
    await until(lambda: len(server.waits._waits) == 2, "both wait")
    await server.jobs.apply([cancel(jobs[0].id, "call", "", now())])
    # Its lease runs out for the last time, or its expire_time passes: here a change without the store.
    await set_fields(stores, jobs[1].id, {"$set": {"status": "failed"}})
    server.waits.look()

    answers = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)

    assert [answer.status for answer in answers] == [job_pb2.Job.cancelled, job_pb2.Job.failed]


@pytest.mark.parametrize("wait", ["0s", "0.05s"])
async def test_when_the_time_is_over_the_answer_has_the_present_state(
    stores: MongoStores, server: WaitingServer, wait: str
) -> None:
    job = await stored(stores, "processing")

    answer = await asyncio.wait_for(server.get(job.id, wait), PATIENCE)

    assert (answer.status, answer.attempt) == (job_pb2.Job.processing, 1)


async def test_a_wait_for_a_job_that_has_ended_or_does_not_exist_does_not_wait(
    stores: MongoStores, server: WaitingServer
) -> None:
    ended = await stored(stores, "failed")

    answer = await asyncio.wait_for(server.get(ended.id, "30s"), PATIENCE / 2)

    assert answer.status == job_pb2.Job.failed
    with pytest.raises(JobNotFound):
        await server.get(uuid7(now()), "30s")


async def test_create_stores_runs_and_answers_with_the_ended_job(server: WaitingServer) -> None:
    call = await waiting(server, server.create("30s"))
    [job_id] = server.waits._waits
    await server.run(job_id)

    answer = await asyncio.wait_for(call, PATIENCE)

    assert (answer.status, answer.payload["n"], answer.result["n"]) == (job_pb2.Job.completed, 1, 3)


async def test_create_answers_with_the_present_state_when_the_time_is_over(server: WaitingServer) -> None:
    answer = await asyncio.wait_for(server.create("0.05s"), PATIENCE)

    assert (answer.status, answer.payload["n"]) == (job_pb2.Job.queued, 1)


async def test_create_of_a_job_that_has_ended_answers_at_once(server: WaitingServer) -> None:
    job_id = uuid7(now())
    await server.create("0s", id=str(job_id))
    await server.run(job_id)

    again = await asyncio.wait_for(server.create("30s", id=str(job_id)), PATIENCE / 2)

    assert (again.id, again.status) == (str(job_id), job_pb2.Job.completed)


@pytest.mark.slow
async def test_an_outage_after_the_job_is_stored_does_not_hide_that_it_is(stores: MongoStores) -> None:
    server = WaitingServer(stores)

    async def unavailable(*_: Any) -> Any:
        raise StoreUnavailable

    server.servicer._waits._store = Replaced(server.jobs, summaries=unavailable)

    answer = await server.create("30s")

    assert answer.status == job_pb2.Job.queued
    with pytest.raises(StoreUnavailable):
        await server.get((await stored(stores)).id, "30s")


class Replaced:
    """A store of which some methods are replaced."""

    def __init__(self, store: Any, **methods: Callable[..., Any]) -> None:
        self._store = store
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_beyond_the_limit_a_wait_is_refused_and_nothing_is_stored(stores: MongoStores) -> None:
    server = WaitingServer(stores, limit=1)
    job = await stored(stores)
    job_id = uuid7(now())
    call = await waiting(server, server.get(job.id, "30s"))

    with pytest.raises(TooManyWaits):
        await server.get(job.id, "30s")
    with pytest.raises(TooManyWaits):
        await server.create("30s", id=str(job_id))

    assert await stores.jobs.get_all([job_id]) == [None]
    server.waits.close()
    assert (await asyncio.wait_for(call, PATIENCE)).status == job_pb2.Job.queued
    assert (await server.get(job.id, "30s")).status == job_pb2.Job.queued


async def test_a_wait_costs_the_database_nothing_while_nothing_happens(
    stores: MongoStores, server: WaitingServer
) -> None:
    job = await stored(stores)
    call = await waiting(server, server.get(job.id, "0.3s"))
    await until(lambda: not server.servicer._waits._looks._running_batches, "it has looked")
    with counted(stores) as statements:
        await call

    assert statements == ["get_all"]


@contextmanager
def counted(stores: MongoStores) -> Iterator[list[str]]:
    """The reads of the store inside the block."""
    names: list[str] = []
    store: Any = stores.jobs
    originals = {name: getattr(store, name) for name in ("summaries", "get_all")}

    def noted(name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            names.append(name)
            return originals[name](*arguments)

        return call

    for name in originals:
        setattr(store, name, noted(name))
    try:
        yield names
    finally:
        for name in originals:
            delattr(store, name)


async def test_the_stream_goes_on_after_an_outage(stores: MongoStores, server: WaitingServer) -> None:
    job = await stored(stores)
    async with server.following():
        call = await waiting(server, server.get(job.id, "30s"))
        # All cursors of the change stream are closed, as when mongod restarts.
        await stores.client.admin.command("killAllSessions", [])
        await WaitingServer(stores).run(job.id)

        assert (await asyncio.wait_for(call, PATIENCE)).status == job_pb2.Job.completed
