"""The Python client against the running system."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from uuid_utils.compat import uuid7

from contract_runtime.structs import MAX_BYTES, dict_to_struct
from job_client import (
    AsyncJobClient,
    ClientClosed,
    DeadlineExceeded,
    InvalidArgument,
    Job,
    JobIdTaken,
    JobNotFound,
    Limits,
    NewJob,
    Outcome,
    Status,
    Unavailable,
)
from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.gate import Gate
from tests.waiting import until

ABOUT = MAX_BYTES - 100
LARGEST = "x" * (ABOUT + MAX_BYTES - dict_to_struct({"input": "x" * ABOUT}).ByteSize())
"""A payload with only this text has exactly the largest size."""


@pytest_asyncio.fixture
async def jobs(stack: Stack) -> AsyncIterator[AsyncJobClient]:
    async with AsyncJobClient(stack.endpoints.jobs_address) as client:
        yield client


def numbered(count: int, mark: str, job_type: str = UNWORKED) -> list[NewJob]:
    return [NewJob(job_type, {"n": n}, {"mark": mark, "n": str(n)}) for n in range(count)]


async def created(client: AsyncJobClient, new_jobs: Iterable[NewJob]) -> list[Outcome]:
    return [outcome async for outcome in client.submit_many(new_jobs)]


def stored(client: httpx.Client, mark: str) -> list[dict[str, Any]]:
    """All jobs with the label `mark`."""
    jobs: list[dict[str, Any]] = []
    token = ""
    while True:
        page = client.get(
            "/jobs", params={"labels": f"mark={mark}", "pageSize": 1000, "pageToken": token}
        ).json()
        jobs += page.get("jobs", [])
        if not (token := page.get("nextPageToken", "")):
            return jobs


# --- One job ---


async def test_a_job_can_be_created_waited_for_and_read(jobs: AsyncJobClient) -> None:
    handle = await jobs.submit("compute", {"input": "hello"}, labels={"team": "x"})
    job = handle.job
    assert job is not None
    assert (job.type, job.status, job.labels, job.payload) == ("compute", "queued", {"team": "x"}, None)
    done = await jobs.wait(job.id, timeout=30)
    assert (done.id, done.status, done.payload) == (job.id, Status.COMPLETED, {"input": "hello"})
    assert done.result == {"hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}
    assert done.end_time is not None
    assert done.create_time == job.create_time <= done.end_time
    assert await jobs.get(job.id.upper()) == done


async def test_errors_tell_what_is_wrong(jobs: AsyncJobClient) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await jobs.submit("no-such-type", {})
    assert [(each.field, each.rule) for each in caught.value.violations] == [("type", "type.known")]
    job = await jobs.submit("compute", {"input": "mine"})
    with pytest.raises(JobIdTaken) as taken:
        await jobs.submit("compute", {"input": "other"}, id=job.id)
    assert (taken.value.reason, taken.value.metadata) == ("JOB_ID_TAKEN", {"id": job.id})
    absent = str(uuid4())
    for call in (jobs.get(absent), jobs.wait(absent)):
        with pytest.raises(JobNotFound) as missing:
            await call
        assert (missing.value.reason, missing.value.metadata) == ("JOB_NOT_FOUND", {"id": absent})


async def test_a_wait_that_times_out_tells_the_job_s_status(jobs: AsyncJobClient, gate: Gate) -> None:
    job = await jobs.submit("gated", gate.payload)
    with pytest.raises(DeadlineExceeded) as caught:
        await jobs.wait(job.id, timeout=1.5)
    assert caught.value.metadata == {"id": job.id, "status": "processing"}
    waiting = asyncio.create_task(jobs.wait(job.id))
    gate.open()
    assert (await waiting).status is Status.COMPLETED


# --- Many jobs ---


async def test_each_job_has_its_own_outcome_in_order(jobs: AsyncJobClient) -> None:
    taken = await jobs.submit("compute", {"input": "taken"})
    new = numbered(2500, str(uuid4()))
    new[3] = NewJob("no-such-type")
    new[700] = NewJob(UNWORKED, {}, {"Not A Label": "x"})
    new[701] = NewJob(UNWORKED, {"x": object()})
    new[1500] = NewJob("compute", {"input": "other"}, id=taken.id)
    new[1501] = NewJob("compute", {"input": "taken"}, id=taken.id)
    outcomes = await created(jobs, new)
    assert [outcome.request for outcome in outcomes] == new
    errors = {n: outcome.error for n, outcome in enumerate(outcomes) if outcome.error is not None}
    assert {n: type(error) for n, error in errors.items()} == {
        3: InvalidArgument,
        700: InvalidArgument,
        701: InvalidArgument,
        1500: JobIdTaken,
    }
    assert {n: [each.field for each in error.violations] for n, error in errors.items()} == {
        3: ["type"],
        700: ['labels["Not A Label"]'],
        701: ["payload.x"],
        1500: [],
    }
    assert outcomes[1501].result().id == taken.id
    with pytest.raises(InvalidArgument):
        outcomes[3].result()
    fine = [outcome for n, outcome in enumerate(outcomes) if n not in {3, 700, 701, 1500, 1501}]
    assert [outcome.result().labels for outcome in fine] == [outcome.request.labels for outcome in fine]
    found = await jobs.get_many([outcome.id for outcome in fine[::-1]])
    assert [job and job.payload for job in found] == [outcome.request.payload for outcome in fine[::-1]]


async def test_many_callers_can_create_and_wait_at_a_time(jobs: AsyncJobClient) -> None:
    async def one(n: int) -> Job:
        return await jobs.wait((await jobs.submit("compute", {"input": str(n)})).id, timeout=60)

    done = await asyncio.gather(*(one(n) for n in range(200)))
    assert [job.payload for job in done] == [{"input": str(n)} for n in range(200)]
    assert {job.status for job in done} == {Status.COMPLETED}


async def test_missing_jobs_are_none_and_an_id_may_be_repeated(jobs: AsyncJobClient) -> None:
    job = await jobs.submit(UNWORKED, {})
    found = await jobs.get_many([uuid4(), job.id, str(uuid4()), job.id])
    assert [each and each.id for each in found] == [None, job.id, None, job.id]
    assert await jobs.get_many([]) == []


async def test_a_batch_of_the_largest_size_passes_the_gateway(jobs: AsyncJobClient) -> None:
    payload = {"input": LARGEST[: MAX_BYTES // 8 - 200]}
    made = await asyncio.gather(*(jobs.submit(UNWORKED, payload) for _ in range(16)))
    assert [job and job.payload == payload for job in await jobs.get_many([job.id for job in made])] == [
        True
    ] * 16


async def test_the_largest_payloads_are_created_and_read_in_several_calls(jobs: AsyncJobClient) -> None:
    outcomes = await created(jobs, [NewJob(UNWORKED, {"input": LARGEST})] * 6)
    found = await jobs.get_many([outcome.result().id for outcome in outcomes])
    assert [job and job.payload == {"input": LARGEST} for job in found] == [True] * 6
    with pytest.raises(InvalidArgument) as caught:
        await jobs.submit(UNWORKED, {"input": LARGEST + "x"})
    assert [each.field for each in caught.value.violations] == ["payload"]


async def test_an_endless_source_is_read_only_while_there_is_capacity(
    stack: Stack, client: httpx.Client
) -> None:
    mark, read = str(uuid4()), 0

    async def endless() -> AsyncIterator[NewJob]:
        nonlocal read
        while True:
            read += 1
            yield NewJob(UNWORKED, {}, {"mark": mark})
            await asyncio.sleep(0)

    async with AsyncJobClient(stack.address("api_server"), limits=Limits(pending_jobs=10)) as jobs:
        outcomes = jobs.submit_many(endless())
        handed_out = [(await anext(outcomes)).result() for _ in range(25)]
        # One more job is read and waits for capacity.
        assert await gets_to_and_stays_at(lambda: read, 25 + 10 + 1)
        await outcomes.aclose()
        again = await jobs.submit(UNWORKED, {}, labels={"mark": mark})
    ids = {job["id"] for job in stored(client, mark)}
    assert {again.id, *(job.id for job in handed_out)} <= ids
    assert len(ids) <= 25 + 10 + 1


async def gets_to_and_stays_at(value: Callable[[], Any], expected: Any) -> bool:
    await until(lambda: value() == expected)
    await asyncio.sleep(0.1)
    return bool(value() == expected)


async def test_a_source_s_error_is_raised_after_the_outcomes_before_it(jobs: AsyncJobClient) -> None:
    def broken() -> Iterable[NewJob]:
        yield from numbered(3, str(uuid4()))
        raise LookupError("no more")

    outcomes = jobs.submit_many(broken())
    for n in range(3):
        assert (await anext(outcomes)).result().labels["n"] == str(n)
    with pytest.raises(LookupError):
        await anext(outcomes)


# --- Faults ---


@pytest.mark.parametrize("way", ["gateway", "api_server"])
async def test_a_restarted_server_loses_no_job_and_stores_none_twice(
    stack: Stack, client: httpx.Client, way: str
) -> None:
    mark, jobs_in_all, outcomes = str(uuid4()), 3000, list[Outcome]()
    address = stack.endpoints.jobs_address if way == "gateway" else stack.address("api_server")
    async with AsyncJobClient(address, limits=Limits(calls_in_flight=3, pending_jobs=800)) as jobs:
        async for outcome in jobs.submit_many(numbered(jobs_in_all, mark), timeout=60):
            outcomes.append(outcome)
            if len(outcomes) == 500:
                stack.kill("api_server")
                starting = asyncio.create_task(asyncio.to_thread(stack.start, "api_server"))
        await starting
    made = [outcome.result() for outcome in outcomes]
    assert [job.labels["n"] for job in made] == [str(n) for n in range(jobs_in_all)]
    found = stored(client, mark)
    assert len(found) == jobs_in_all
    assert {job["id"] for job in found} == {job.id for job in made}


async def test_a_create_that_timed_out_can_be_repeated_with_its_id(
    stack: Stack, client: httpx.Client
) -> None:
    mark = str(uuid4())
    async with AsyncJobClient(stack.address("api_server")) as jobs:
        await jobs.submit(UNWORKED, {})
        stack.freeze("api_server")
        try:
            with pytest.raises(DeadlineExceeded) as caught:
                await jobs.submit(UNWORKED, {"a": 1}, labels={"mark": mark}, timeout=0.5)
        finally:
            stack.thaw("api_server")
        job_id = caught.value.metadata["id"]
        job = await jobs.submit(UNWORKED, {"a": 1}, labels={"mark": mark}, id=job_id)
    assert job.id == job_id
    assert [each["id"] for each in stored(client, mark)] == [job_id]


@pytest.mark.slow
async def test_a_wait_survives_a_restart_of_the_server(stack: Stack, gate: Gate) -> None:
    async with AsyncJobClient(stack.address("api_server")) as jobs:
        job = await jobs.submit("gated", gate.payload)
        waiting = asyncio.create_task(jobs.wait(job.id))
        await asyncio.sleep(0)
        stack.kill("api_server")
        await asyncio.to_thread(stack.start, "api_server")
        assert not waiting.done()
        gate.open()
        assert (await asyncio.wait_for(waiting, 60)).status is Status.COMPLETED


async def test_a_cancelled_caller_does_not_affect_the_others(
    jobs: AsyncJobClient, client: httpx.Client
) -> None:
    mark = str(uuid4())
    calls = [asyncio.create_task(jobs.submit(UNWORKED, {"n": n}, labels={"mark": mark})) for n in range(100)]
    await asyncio.sleep(0.002)
    for call in calls[::2]:
        call.cancel()
    made = await asyncio.gather(*calls[1::2])
    assert [each.job and each.job.status for each in made] == [Status.QUEUED] * 50
    assert {job.id for job in made} <= {job["id"] for job in stored(client, mark)}


async def test_an_id_from_the_past_is_refused(jobs: AsyncJobClient) -> None:
    old = uuid7(nanoseconds=1_600_000_000 * 10**9)
    with pytest.raises(InvalidArgument) as caught:
        await jobs.submit(UNWORKED, {}, id=old)
    assert [each.rule for each in caught.value.violations] == ["id.time"]


async def test_a_client_that_is_not_open_raises_client_closed(stack: Stack) -> None:
    jobs = AsyncJobClient(stack.endpoints.jobs_address)
    with pytest.raises(ClientClosed):
        await jobs.get(uuid4())
    async with jobs:
        await jobs.submit(UNWORKED, {})
    with pytest.raises(ClientClosed):
        await jobs.submit(UNWORKED, {})


async def test_an_address_without_a_server_is_told_at_once() -> None:
    async with AsyncJobClient("127.0.0.1:1") as jobs:
        async with asyncio.timeout(3):
            with pytest.raises(Unavailable, match=r"no server answers at 127\.0\.0\.1:1 without TLS"):
                await jobs.submit(UNWORKED, {})
