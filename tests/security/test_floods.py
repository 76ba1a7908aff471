"""One client takes more than its share of memory, connections, streams or log, and another one goes on.

The attacks are a tenth of those that once harmed others. SECURITY_SCALE=1 makes them whole.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from local_stack.stack import Stack
from tests.e2e.upstreams import admin_client
from tests.security.http2 import Http2, closed
from tests.security.victim import unharmed
from tests.waiting import until

SCALE = float(os.environ.get("SECURITY_SCALE", "0.1"))
MIB = 1024 * 1024
MAX_HEAP = 1024 * MIB
POST = {
    ":method": "POST",
    ":scheme": "http",
    ":path": "/jobs",
    ":authority": "localhost",
    "content-type": "application/json",
}
LIST = POST | {":path": "/jobs.v1.JobService/List", "content-type": "application/grpc", "te": "trailers"}
MAX_HEALTH_WATCHES = 1000


def scaled(number: int) -> int:
    return max(1, int(number * SCALE))


def heap_of_the_gateway(stack: Stack) -> int:
    with admin_client(stack) as admin:
        return int(admin.get("/memory").json()["allocated"])


@asynccontextmanager
async def connections(stack: Stack, count: int) -> AsyncIterator[list[Http2]]:
    made = [await Http2.open(stack.endpoints.jobs_address) for _ in range(count)]
    yield made
    for each in made:
        await each.close()


async def test_unfinished_requests_do_not_fill_the_memory(stack: Stack) -> None:
    """The gateway holds the body of a REST request until it is whole, 4 MiB at most."""
    heaps = []
    async with unharmed(stack.endpoints.jobs_address), connections(stack, scaled(10)) as made:
        bodies = [
            asyncio.create_task(each.send_body(each.start(POST, is_whole=False), 4 * MIB - 1))
            for each in made
            for _ in range(40)
        ]
        pending = set(bodies)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=1)
            heaps.append(await asyncio.to_thread(heap_of_the_gateway, stack))

    assert max(heaps) < MAX_HEAP


async def test_silent_connections_are_closed(stack: Stack) -> None:
    host, port = stack.endpoints.jobs_address.split(":")
    async with unharmed(stack.endpoints.jobs_address):
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(scaled(2000))]
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(reader.read() for reader, _ in silent))

    assert set(answers) == {b""}
    for _, writer in silent:
        await closed(writer)


async def test_streams_that_never_end_take_no_room_from_calls(stack: Stack) -> None:
    options = [("grpc.use_local_subchannel_pool", 1)]
    refused: list[str] = []

    async def watch(channel: grpc.aio.Channel) -> None:
        try:
            async for _ in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
                pass
        except grpc.aio.AioRpcError as error:
            refused.append(error.code().name)

    # One connection has at most 100 streams.
    count = scaled(int(MAX_HEALTH_WATCHES * 1.2))
    address = stack.endpoints.jobs_address
    async with unharmed(address) as victim:
        channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(count // 100 + 1)]
        watches = [asyncio.create_task(watch(channels[each % len(channels)])) for each in range(count)]
        seen = victim.calls
        await until(lambda: victim.calls >= seen + 20, "others are served meanwhile")
        for each in watches:
            each.cancel()
        for channel in channels:
            await channel.close()

    assert set(refused) <= {"UNAVAILABLE"}
    assert bool(refused) == (count > MAX_HEALTH_WATCHES)


async def test_a_client_that_resets_its_calls_is_closed_and_fills_no_log(stack: Stack) -> None:
    log = stack.log_file("gateway")
    begin = log.stat().st_size
    async with unharmed(stack.endpoints.jobs_address):
        for _ in range(scaled(100)):
            attacker = await Http2.open(stack.endpoints.jobs_address)
            async with asyncio.timeout(20):
                while not attacker.is_closed:
                    for _ in range(20):
                        attacker.reset(attacker.start(LIST, is_whole=False))
                    await attacker.drain()
                    await asyncio.sleep(0)
            await attacker.close()

    assert log.read_bytes()[begin:].count(b"\n") <= 1


async def test_a_client_that_resets_some_of_its_calls_is_served_on(stack: Stack) -> None:
    async with connections(stack, 1) as [client]:
        for _ in range(60):
            client.reset(client.start(LIST, is_whole=False))
        await client.drain()
        # An answer comes after all that the gateway has read before.
        await client.send_body(client.start(POST, is_whole=False), MIB)

        assert not client.is_closed
