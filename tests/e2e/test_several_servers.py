"""No call fails while one of two API servers, or one of two workers, restarts or hangs.

The servers have their own gateway, and use the MongoDB and Kafka of the shared stack.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import grpc
import httpx
import pytest

from contract_runtime.structs import dict_to_struct
from job_client import AsyncJobClient
from job_client._gen.jobs.v1.job_service_pb2 import CreateRequest, GetRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from tests.conftest import API_SERVER, WORKER
from tests.e2e.jobs_api import create, jobs_client
from tests.e2e.rest import COMPUTE
from tests.e2e.upstreams import healthy_ports
from tests.fork_server import ForkServer
from tests.waiting import until, wait_for

pytestmark = pytest.mark.slow

OWN_PORTS = ("api_server_port", "worker_port", "jobs_port", "workers_port")
ROUNDS = 2
PAUSE = 0.1
"""Seconds between two calls of a caller."""
CALL_SECONDS = 20.0
SOON_SECONDS = 9.0
"""Less than the deadline of a call to the frozen server: 12 s in the client, 15 s in the gateway."""

CLUSTERS = {"api_server": "api_server", "worker": "worker_service"}
"""The gateway's name for each part."""

Caller = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
def pair(stack: Stack, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    free = StackSettings.with_free_ports(tmp_path_factory.mktemp("pair"))
    ports = {name: getattr(free, name) for name in OWN_PORTS}
    changed = {"data_dir": free.data_dir, "api_servers": 2, "workers": 2, **ports}
    pair = Stack(stack.settings.model_copy(update=changed), spawn=fork_server.spawn)
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
def both_servers_are_healthy(pair: Stack) -> None:
    wait_for(
        lambda: healthy_ports(pair, "api_server") == set(api_server_ports(pair)),
        "both API servers are healthy",
    )


def api_server_ports(pair: Stack) -> list[int]:
    return [pair.port("api_server", number) for number in (1, 2)]


@asynccontextmanager
async def callers(pair: Stack) -> AsyncIterator[dict[str, Caller]]:
    """Functions that make one call, without a retry, and raise if it fails."""
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


async def test_no_call_fails_while_servers_are_restarted_one_after_the_other(pair: Stack) -> None:
    calls: Counter[str] = Counter()
    failures = []
    over = asyncio.Event()

    async def keep_calling(name: str, call: Caller) -> None:
        while not over.is_set():
            try:
                await call()
                calls[name] += 1
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
    assert len(calls) == len(each)
    assert min(calls.values()) > 20


async def restart(pair: Stack, part: str, number: int) -> None:
    """As in a rolling update: returns when the gateway has begun to use the new process."""
    await asyncio.to_thread(pair.stop, part, number)
    await asyncio.to_thread(pair.start, part, number)
    await until(lambda: pair.port(part, number) in healthy_ports(pair, CLUSTERS[part]))


async def test_a_frozen_server_delays_no_call_that_is_safe_to_repeat(pair: Stack) -> None:
    frozen = pair.port("api_server", 1)
    async with AsyncJobClient(pair.endpoints.jobs_address) as client:
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
                    *(client.submit("compute", {"input": str(number)}) for number in range(10))
                )
                ended = await asyncio.gather(*(client.wait(job.id) for job in jobs))
            await asyncio.to_thread(
                wait_for,
                lambda: healthy_ports(pair, "api_server").isdisjoint({frozen}),
                "the gateway stops using it",
            )
        finally:
            await asyncio.to_thread(pair.thaw, "api_server", 1)
    assert {answer.status_code for answer in answers} == {200, 201}
    assert {job.status for job in ended} == {"completed"}
