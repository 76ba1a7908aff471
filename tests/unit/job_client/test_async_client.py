"""What the client sends and returns, and what it says when it cannot be used."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import pytest_asyncio
from uuid_utils.compat import uuid7

from job_client import (
    AsyncJobClient,
    ClientClosed,
    DeadlineExceeded,
    InvalidArgument,
    JobClientError,
    JobFailed,
    JobNotFound,
    NewJob,
    ResultMismatch,
    Status,
    Unavailable,
)
from tests.unit.job_client.fake_system import STUCK, FakeSystem, running
from tests.waiting import until

GIVEN = "s3cret"


@dataclass
class Thumbnail:
    width: int
    path: str = ""


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()


@pytest_asyncio.fixture
async def client(system: FakeSystem) -> AsyncIterator[AsyncJobClient]:
    async with running(system) as address, AsyncJobClient(address, control_address=address) as client:
        yield client


def sent(system: FakeSystem, name: str) -> list[Any]:
    return [request for each, request in system.requests if each == name]


async def test_run_returns_the_result_by_one_call(client: AsyncJobClient, system: FakeSystem) -> None:
    assert await client.run("compute", {"a": 1}) == {"a": 1}
    assert [name for name, _ in system.requests] == ["Create"]
    assert sent(system, "Create")[0].wait.seconds == 5
    assert system.metadata["jobs-wait"] == "true"


async def test_a_result_comes_back_as_the_declared_type(client: AsyncJobClient) -> None:
    assert await client.run("thumbnail", Thumbnail(64), result=Thumbnail) == Thumbnail(64)
    handle = await client.submit("thumbnail", {"width": 32, "new": True}, result=Thumbnail)
    assert await handle.result() == Thumbnail(32)
    again = client.handle(handle.id, result=Thumbnail)
    assert await again.result(timeout=5) == Thumbnail(32)


async def test_a_result_that_does_not_fit_is_named(client: AsyncJobClient) -> None:
    with pytest.raises(
        ResultMismatch, match=r"the result is no Thumbnail: result\.width: must be int, is of"
    ) as caught:
        await client.run("thumbnail", {"width": "wide"}, result=Thumbnail)
    assert set(caught.value.metadata) == {"id"}


async def test_a_job_that_failed_raises_its_error(client: AsyncJobClient) -> None:
    with pytest.raises(JobFailed, match="of type broken failed: HANDLER_ERROR: it broke") as caught:
        await client.run("broken", {})
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.INTERNAL, "HANDLER_ERROR")
    assert caught.value.job.status is Status.FAILED


async def test_a_wait_takes_a_job_a_handle_or_an_id(client: AsyncJobClient, system: FakeSystem) -> None:
    handle = await client.submit("compute", {})
    job = await client.wait(handle)
    assert job == await client.get(job) == await client.get(handle.id)
    assert [each and each.id for each in await client.get_many([job, handle])] == [job.id] * 2
    assert sent(system, "Get")[0].HasField("wait")


async def test_a_list_reads_all_pages_up_to_its_limit(client: AsyncJobClient, system: FakeSystem) -> None:
    made = [outcome.id async for outcome in client.submit_many(NewJob("compute") for _ in range(5))]
    assert [job.id async for job in client.list()] == made
    assert [job.id async for job in client.list(limit=3)] == made[:3]
    since = datetime(2026, 1, 1, tzinfo=UTC)
    page = await client.list_page(
        statuses="failed", types=["a", "b"], labels={"team": "x"}, error_reasons="E", create_time_from=since
    )
    assert int(page.next_page_token) == 2
    request = sent(system, "List")[-1]
    assert (list(request.statuses), list(request.types), list(request.labels)) == (
        [4],
        ["a", "b"],
        ["team=x"],
    )
    assert (list(request.error_reasons), request.create_time_from.ToDatetime(UTC)) == (["E"], since)


async def test_a_watch_goes_on_where_it_was_cut(client: AsyncJobClient, system: FakeSystem) -> None:
    handle = await client.submit("compute", {})
    assert [job.status async for job in handle.watch()] == [Status.QUEUED, Status.COMPLETED]
    assert [request.resume_token for request in sent(system, "Watch")] == ["", "first"]


@pytest.mark.parametrize("breaks", [False, True])
async def test_a_watch_of_an_operation_goes_on_after_an_outage_and_its_end_comes_once(
    breaks: bool, client: AsyncJobClient, system: FakeSystem
) -> None:
    system.operation_breaks = breaks
    states = [(each.state, each.changed) async for each in client.watch_operation(uuid7())]
    assert states == [("running", 1), ("running", 3), ("finished", 9)]
    assert len(sent(system, "WatchOperation")) == 3


async def test_an_operation_is_watched_for_the_time_of_the_caller(client: AsyncJobClient) -> None:
    states = [each.changed async for each in client.watch_operation(STUCK, timeout=0.5)]
    assert states == [1]


async def test_a_log_is_followed_to_the_end_of_the_job_and_each_entry_comes_once(
    client: AsyncJobClient, system: FakeSystem
) -> None:
    handle = await client.submit("compute", {})
    assert [entry.number async for entry in handle.follow_log()] == [1, 2, 3]
    assert [(each.include_log, each.resume_token) for each in sent(system, "Watch")] == [
        (True, ""),
        (True, "first"),
    ]
    assert [entry.number async for entry in client.follow_log(handle, after_number=2)] == [3]
    with pytest.raises(InvalidArgument, match="after_number"):
        await anext(client.follow_log(handle, after_number=-1))


async def test_a_log_is_followed_for_the_time_of_the_caller(client: AsyncJobClient) -> None:
    handle = await client.submit("stuck", {})
    assert [entry async for entry in handle.follow_log(timeout=0.2)] == []


async def test_workers_are_controlled_at_their_own_address(
    client: AsyncJobClient, system: FakeSystem
) -> None:
    change = await client.stop(job_type="compute")
    assert (change.consuming, change.stopped_types) == (True, ("compute",))
    await client.stop()
    assert [request.all for request in sent(system, "Stop")] == [False, True]
    assert [each.type for each in await client.types()] == ["compute"]


async def test_a_call_that_is_not_safe_to_repeat_is_sent_once(
    client: AsyncJobClient, system: FakeSystem
) -> None:
    handle = await client.submit("compute", {})
    assert (await handle.cancel(reason="x")).status is Status.CANCELLED
    with pytest.raises(JobNotFound):
        await client.cancel(uuid7())
    assert len(sent(system, "Cancel")) == 2


async def test_the_token_is_sent_with_each_call(system: FakeSystem) -> None:
    async with running(system) as address, AsyncJobClient(address, token=GIVEN) as client:
        for call in (client.submit("compute", {}), client.run("compute", {}), client.types()):
            system.metadata = {}
            await call
            assert system.metadata["authorization"] == f"Bearer {GIVEN}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"payload": "text"}, "payload: must be an object: a dict, a dataclass or a pydantic model"),
        ({"payload": Thumbnail}, "payload: must be an object"),
        ({"job_type": 5}, "type: must be a string, is of type int"),
        ({"attempt_timeout": "30"}, "attempt_timeout: must be a timedelta or a number of seconds"),
    ],
)
async def test_a_wrong_value_is_named(
    client: AsyncJobClient, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await client.submit(**{"job_type": "compute", "payload": {}, **arguments})
    assert message in str(caught.value)


async def test_a_wrong_name_or_type_of_result_is_a_type_error(client: AsyncJobClient) -> None:
    wrong: Any = client
    with pytest.raises(TypeError, match=r"submit\(\) has no argument 'label'; did you mean 'labels'\?"):
        await wrong.submit("compute", {}, label={})
    with pytest.raises(TypeError, match=r"list_page\(\) has no argument 'status'; did you mean 'statuses'\?"):
        await wrong.list_page(status="failed")
    with pytest.raises(TypeError, match="result must be a dataclass"):
        await wrong.run("compute", {}, result=int)
    with pytest.raises(InvalidArgument, match=r"statuses\[0\]: must be one of queued"):
        await client.list_page(statuses="done")
    with pytest.raises(InvalidArgument, match="must be a job, a handle or a UUID"):
        await client.wait("no id")


async def test_seconds_are_durations(client: AsyncJobClient, system: FakeSystem) -> None:
    await client.submit("compute", {}, attempt_timeout=30)
    await client.submit("compute", {}, attempt_timeout=0.5)
    timeouts = [request.timeout for request in sent(system, "Create")]
    assert [(each.seconds, each.nanos) for each in timeouts] == [(30, 0), (0, 500_000_000)]


async def test_a_busy_server_that_takes_no_waits_is_asked_again_and_again(
    client: AsyncJobClient, system: FakeSystem
) -> None:
    system.takes_waits = False
    handle = await client.submit("compute", {"a": 1})
    running = asyncio.create_task(client.run("compute", {"a": 2}, timeout=20))
    waiting = asyncio.create_task(handle.result(timeout=20))
    await until(lambda: len(system.jobs) == 2 and len(system.requests) > 8)
    for job_id in system.jobs:
        system.end(job_id)
    assert (await waiting, await running) == ({"a": 1}, {"a": 2})


# --- A client that cannot be used ---


async def test_what_is_pending_ends_when_the_client_is_closed(system: FakeSystem) -> None:
    async with running(system) as address:
        client = await AsyncJobClient(address).open()
        handle = await client.submit("stuck", {})

        async def watching() -> None:
            async for _ in handle.watch():
                pass

        calls = [asyncio.create_task(call) for call in (handle.wait(), client.run("stuck", {}), watching())]
        await until(lambda: len(system.requests) >= 4)
        await client.close()
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in ended] == [ClientClosed] * 3


async def test_a_wait_that_times_out_tells_the_id(client: AsyncJobClient) -> None:
    handle = await client.submit("stuck", {})
    for call in (handle.wait(timeout=0.3), client.run("stuck", {}, timeout=0.3)):
        with pytest.raises(DeadlineExceeded) as caught:
            await call
        assert caught.value.metadata["id"]


async def test_a_cancelled_caller_is_cancelled(client: AsyncJobClient, system: FakeSystem) -> None:
    handle = await client.submit("stuck", {})
    before = len(system.requests)
    waiting = asyncio.create_task(handle.wait())
    await until(lambda: len(system.requests) > before)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_client_that_was_not_opened_or_was_closed_says_so(system: FakeSystem) -> None:
    client = AsyncJobClient("127.0.0.1:1")
    with pytest.raises(ClientClosed, match="the client is not open"):
        await client.get(uuid7())
    async with running(system) as address:
        client = await AsyncJobClient(address).open()
        await client.submit("compute", {})
        await client.close()
        with pytest.raises(ClientClosed):
            await client.submit("compute", {})


async def test_an_address_where_nobody_listens_is_told_soon() -> None:
    begin = time.monotonic()
    async with AsyncJobClient("127.0.0.1:1", control_address="127.0.0.1:2") as client:
        for call, port in (
            (client.submit("compute", {}), 1),
            (client.wait(uuid7()), 1),
            (client.workers(), 2),
        ):
            with pytest.raises(
                Unavailable, match=rf"no server answers at 127\.0\.0\.1:{port}.*check"
            ) as caught:
                await call
            assert caught.value.reason == "CLIENT_CANNOT_CONNECT"
            assert time.monotonic() - begin < 3
            begin = time.monotonic()


def test_a_second_event_loop_is_told() -> None:
    async def opened() -> AsyncJobClient:
        return await AsyncJobClient("127.0.0.1:1").open()

    client = asyncio.run(opened())
    with pytest.raises(JobClientError, match="another event loop") as caught:
        asyncio.run(client.get(str(uuid7())))
    assert caught.value.reason == "CLIENT_OTHER_LOOP"
