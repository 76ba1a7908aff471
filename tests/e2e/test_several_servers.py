"""Two API servers and two workers behind a gateway of their own: one at a time is restarted, or stands still, and no caller
notices. They are beside the shared stack, on its MongoDB and Kafka.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import grpc
import httpx
import pytest

from contract_runtime.structs import dict_to_struct
from job_client import JobClient
from jobs.v1.job_service_pb2 import CreateRequest, GetRequest
from jobs.v1.job_service_pb2_grpc import JobServiceStub
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from tests.conftest import API_SERVER, WORKER
from tests.e2e.jobs_api import create, jobs_client, wait_for
from tests.e2e.rest import COMPUTE
from tests.e2e.upstreams import healthy_ports

OWN = ("api_server_port", "worker_port", "jobs_port", "workers_port", "envoy_admin_port")
ROUNDS = 2
PAUSE = 0.04
"""Seconds between two calls of one kind."""
CALL_SECONDS = 20.0
SOON_SECONDS = 9.0
"""Less than a call takes that waits for the frozen server: 12 s of the client, 15 s of the gateway."""

Caller = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
def pair(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    free = StackSettings.with_free_ports(tmp_path_factory.mktemp("pair"))
    ports = {name: getattr(free, name) for name in OWN}
    pair = Stack(
        stack.settings.model_copy(update={"data_dir": free.data_dir, "api_servers": 2, "workers": 2, **ports})
    )
    parts = [(name, number) for name in ("api_server", "worker") for number in (1, 2)]
    try:
        for name, number in parts:
            added = {**WORKER, "WORKER_NAME": f"pair-{number}"} if name == "worker" else API_SERVER
            pair.set_environment(name, number, added)
            pair.spawn(name, number)
        for name, number in [*parts, ("gateway", 1)]:
            pair.start(name, number)
        yield pair
    finally:
        pair.down()


@pytest.fixture(autouse=True)
def both_are_well(pair: Stack) -> None:
    wait_for(lambda: healthy_ports(pair, "api_server") == set(api_server_ports(pair)), "both serve")


def api_server_ports(pair: Stack) -> list[int]:
    return [pair.port("api_server", number) for number in (1, 2)]


@asynccontextmanager
async def callers(pair: Stack) -> AsyncIterator[dict[str, Caller]]:
    """One call each, which raises if it fails. None of them is sent again by its caller."""
    async with (
        httpx.AsyncClient(timeout=CALL_SECONDS, trust_env=False) as http,
        grpc.aio.insecure_channel(pair.endpoints.jobs_address) as channel,
    ):
        stub = JobServiceStub(channel)
        request = CreateRequest(type="compute", payload=dict_to_struct({"input": ""}))
        known = (await stub.Create(request, timeout=CALL_SECONDS)).id

        async def post() -> None:
            (await http.post(f"{pair.endpoints.jobs_url}/jobs", json=COMPUTE)).raise_for_status()

        async def get() -> None:
            (await http.get(f"{pair.endpoints.jobs_url}/jobs/{known}")).raise_for_status()

        async def native_create() -> None:
            await stub.Create(request, timeout=CALL_SECONDS)

        async def native_get() -> None:
            await stub.Get(GetRequest(id=known), timeout=CALL_SECONDS)

        async def state() -> None:
            (await http.get(f"{pair.endpoints.workers_url}/state")).raise_for_status()

        async def start() -> None:
            (await http.post(f"{pair.endpoints.workers_url}/start")).raise_for_status()

        yield {each.__name__: each for each in (post, get, native_create, native_get, state, start)}


async def test_restarts_of_one_server_after_the_other_fail_no_call(pair: Stack) -> None:
    calls, failures = 0, []
    over = asyncio.Event()

    async def keep_calling(name: str, call: Caller) -> None:
        nonlocal calls
        while not over.is_set():
            try:
                await call()
                calls += 1
            except (grpc.aio.AioRpcError, httpx.HTTPError) as error:
                failures.append((name, repr(error)))
            await asyncio.sleep(PAUSE)

    async with callers(pair) as each, asyncio.TaskGroup() as group:
        for name, call in each.items():
            group.create_task(keep_calling(name, call))
        for _, number in itertools.product(range(ROUNDS), (1, 2)):
            await asyncio.gather(*(restart(pair, part, number) for part in ("api_server", "worker")))
        over.set()

    assert not failures
    assert calls > 100


async def restart(pair: Stack, part: str, number: int) -> None:
    await asyncio.to_thread(pair.stop, part, number)
    await asyncio.to_thread(pair.start, part, number)


async def test_a_server_that_stands_still_holds_up_no_call_that_may_be_sent_again(pair: Stack) -> None:
    frozen = pair.port("api_server", 1)
    async with JobClient(pair.endpoints.jobs_address) as client:
        with jobs_client(pair) as http:
            job_id = create(http, "compute", {"input": ""})["id"]
        await asyncio.to_thread(pair.freeze, "api_server", 1)
        try:
            async with asyncio.timeout(SOON_SECONDS), httpx.AsyncClient(trust_env=False) as http:
                url = f"{pair.endpoints.jobs_url}/jobs"
                key = {"idempotency-key": str(uuid4())}
                answers = await asyncio.gather(
                    *(http.get(f"{url}/{job_id}", timeout=SOON_SECONDS) for _ in range(10)),
                    http.post(url, json=COMPUTE, headers=key, timeout=SOON_SECONDS),
                )
                jobs = await asyncio.gather(
                    *(client.create("compute", {"input": str(number)}) for number in range(10))
                )
                ended = await asyncio.gather(*(client.wait(job.id) for job in jobs))
            await asyncio.to_thread(
                wait_for, lambda: healthy_ports(pair, "api_server").isdisjoint({frozen}), "it is put aside"
            )
        finally:
            await asyncio.to_thread(pair.thaw, "api_server", 1)
    assert {answer.status_code for answer in answers} == {200}
    assert {job.status for job in ended} == {"completed"}
