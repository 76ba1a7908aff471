"""Calls that wait for a job's end, on a real database: whoever ends the job, they answer with its end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import JobNotFound, StoreUnavailable, TooManyWaits
from api_server.domain.job import Job
from api_server.domain.transitions import cancel, claim, complete
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.told_jobs import ToldJobs
from api_server.feed.waits import Waits
from api_server.services.job_waits import JobWaits
from jobs.v1 import job_pb2, job_service_pb2
from tests.integration.mongo.jobs import LEASE, RESULT, WORKER, new_job, now, set_fields, stored, uuid7
from tests.integration.mongo.services import servicer
from tests.waiting import until

PATIENCE = 30.0
"""Seconds that a test gives to what should happen at once."""


class Caller:
    """The context of a call without headers and deadline."""

    @staticmethod
    def invocation_metadata() -> tuple[tuple[str, str], ...]:
        return ()

    @staticmethod
    def time_remaining() -> None:
        return None


class Server:
    """The part of an API server process that waits. `jobs`: its store, which tells its waits what it ends."""

    def __init__(self, stores: MongoStores, limit: int = 100) -> None:
        self.waits = Waits(limit)
        self.jobs = ToldJobs(stores.jobs, self.waits)
        self.servicer = servicer(stores, self.jobs, JobWaits(self.jobs, self.waits, PATIENCE))
        self.feed = ChangeFeed(stores.changes, self.waits)

    async def get(self, job: Job, wait: str) -> job_pb2.Job:
        request = ParseDict({"id": str(job.id), "wait": wait}, job_service_pb2.GetRequest())
        return await self.servicer.Get(request, Caller())

    async def create(self, wait: str, **fields: Any) -> job_pb2.Job:
        fields = {"type": "compute", "payload": {"n": 1}, "wait": wait, **fields}
        return await self.servicer.Create(ParseDict(fields, job_service_pb2.CreateRequest()), Caller())

    async def run(self, job_id: Any) -> None:
        """What a worker reports to this server."""
        await self.jobs.apply([claim(job_id, WORKER, 0, now(), LEASE)])
        await self.jobs.apply([complete(job_id, WORKER, 1, RESULT, now())])

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Inside the block it hears of the changes of other servers."""
        task = asyncio.create_task(self.feed.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def server(stores: MongoStores) -> Server:
    return Server(stores)


async def waiting(server: Server, call: Awaitable[job_pb2.Job]) -> asyncio.Future[job_pb2.Job]:
    """The call, once it waits."""
    task = asyncio.ensure_future(call)
    await until(server.waits.needed.is_set, "the call waits")
    return task


async def test_a_wait_ends_with_the_job_that_its_own_server_ends(stores: MongoStores, server: Server) -> None:
    job = await stored(stores)
    call = await waiting(server, server.get(job, "30s"))
    await server.run(job.id)

    answer = await asyncio.wait_for(call, PATIENCE)

    assert (answer.status, answer.revision, answer.result["hash"]) == (job_pb2.Job.completed, 3, "abc")


async def test_a_wait_ends_with_the_job_that_another_server_ends(stores: MongoStores, server: Server) -> None:
    job = await stored(stores)
    async with server.following():
        call = await waiting(server, server.get(job, "30s"))
        await Server(stores).run(job.id)

        assert (await asyncio.wait_for(call, PATIENCE)).status == job_pb2.Job.completed


async def test_many_waits_end_each_with_its_own_job(stores: MongoStores, server: Server) -> None:
    jobs = [await stored(stores) for _ in range(20)]
    async with server.following():
        calls = [asyncio.ensure_future(server.get(job, "30s")) for job in jobs for _ in range(3)]
        await until(lambda: len(server.waits._waits) == len(jobs), "all wait")
        other = Server(stores)
        for number, job in enumerate(jobs):
            await (other if number % 2 else server).run(job.id)
        answers = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)

    assert [answer.id for answer in answers] == [str(job.id) for job in jobs for _ in range(3)]
    assert {answer.status for answer in answers} == {job_pb2.Job.completed}


async def test_a_failed_and_a_cancelled_job_have_ended_too(stores: MongoStores, server: Server) -> None:
    jobs = [await stored(stores), await stored(stores)]
    calls = [asyncio.ensure_future(server.get(job, "30s")) for job in jobs]
    await until(lambda: len(server.waits._waits) == 2, "both wait")
    await server.jobs.apply([cancel(jobs[0].id, "call", "", now())])
    # Its lease runs out for the last time, or its expire_time passes: here a change without the store.
    await set_fields(stores, jobs[1].id, {"$set": {"status": "failed"}})
    server.waits.look()

    answers = await asyncio.wait_for(asyncio.gather(*calls), PATIENCE)

    assert [answer.status for answer in answers] == [job_pb2.Job.cancelled, job_pb2.Job.failed]


@pytest.mark.parametrize("wait", ["0s", "0.05s"])
async def test_when_the_time_is_over_the_answer_has_the_present_state(
    stores: MongoStores, server: Server, wait: str
) -> None:
    job = await stored(stores, "processing")

    answer = await asyncio.wait_for(server.get(job, wait), PATIENCE)

    assert (answer.status, answer.attempt) == (job_pb2.Job.processing, 1)


async def test_a_wait_for_a_job_that_has_ended_or_does_not_exist_does_not_wait(
    stores: MongoStores, server: Server
) -> None:
    ended = await stored(stores, "failed")

    answer = await asyncio.wait_for(server.get(ended, "30s"), PATIENCE / 2)

    assert answer.status == job_pb2.Job.failed
    with pytest.raises(JobNotFound):
        await server.get(replace(new_job(), id=uuid7(now())), "30s")


async def test_create_stores_runs_and_answers_with_the_ended_job(server: Server) -> None:
    call = await waiting(server, server.create("30s"))
    [job_id] = server.waits._waits
    await server.run(job_id)

    answer = await asyncio.wait_for(call, PATIENCE)

    assert (answer.status, answer.payload["n"], answer.result["n"]) == (job_pb2.Job.completed, 1, 3)


async def test_create_answers_with_the_present_state_when_the_time_is_over(server: Server) -> None:
    answer = await asyncio.wait_for(server.create("0.05s"), PATIENCE)

    assert (answer.status, answer.payload["n"]) == (job_pb2.Job.queued, 1)


async def test_create_of_a_job_that_has_ended_answers_at_once(server: Server) -> None:
    job_id = uuid7(now())
    await server.create("0s", id=str(job_id))
    await server.run(job_id)

    again = await asyncio.wait_for(server.create("30s", id=str(job_id)), PATIENCE / 2)

    assert (again.id, again.status) == (str(job_id), job_pb2.Job.completed)


async def test_an_outage_after_the_job_is_stored_does_not_hide_that_it_is(stores: MongoStores) -> None:
    server = Server(stores)

    async def unavailable(*_: Any) -> Any:
        raise StoreUnavailable

    server.servicer._waits._store = Replaced(server.jobs, statuses=unavailable)

    answer = await server.create("30s")

    assert answer.status == job_pb2.Job.queued
    with pytest.raises(StoreUnavailable):
        await server.get(await stored(stores), "30s")


class Replaced:
    """A store of which some methods are replaced."""

    def __init__(self, store: Any, **methods: Callable[..., Any]) -> None:
        self._store = store
        vars(self).update(methods)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_beyond_the_limit_a_wait_is_refused_and_nothing_is_stored(stores: MongoStores) -> None:
    server = Server(stores, limit=1)
    job = await stored(stores)
    job_id = uuid7(now())
    call = await waiting(server, server.get(job, "30s"))

    with pytest.raises(TooManyWaits):
        await server.get(job, "30s")
    with pytest.raises(TooManyWaits):
        await server.create("30s", id=str(job_id))

    assert await stores.jobs.get_all([job_id]) == [None]
    server.waits.close()
    assert (await asyncio.wait_for(call, PATIENCE)).status == job_pb2.Job.queued
    assert (await server.get(job, "30s")).status == job_pb2.Job.queued


async def test_a_wait_costs_the_database_nothing_while_nothing_happens(
    stores: MongoStores, server: Server
) -> None:
    job = await stored(stores)
    call = await waiting(server, server.get(job, "0.3s"))
    await until(lambda: not server.servicer._waits._looks._running_batches, "it has looked")
    with counted(stores) as statements:
        await call

    assert statements == ["get_all"]


@contextmanager
def counted(stores: MongoStores) -> Iterator[list[str]]:
    """The reads of the store inside the block."""
    names: list[str] = []
    store: Any = stores.jobs
    originals = {name: getattr(store, name) for name in ("statuses", "get_all")}

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


async def test_the_stream_goes_on_after_an_outage(stores: MongoStores, server: Server) -> None:
    job = await stored(stores)
    async with server.following():
        call = await waiting(server, server.get(job, "30s"))
        # All cursors of the change stream are closed, as when mongod restarts.
        await stores.client.admin.command("killAllSessions", [])
        await Server(stores).run(job.id)

        assert (await asyncio.wait_for(call, PATIENCE)).status == job_pb2.Job.completed
