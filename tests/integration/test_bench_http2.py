"""The benchmark's hand-made gRPC client against grpcio's own server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import grpc
import pytest
import pytest_asyncio

from bench.load.http2 import MAX_FRAME, CallFailed, Http2Calls

ECHO = "/bench.Echo/Echo"
REFUSED = b"refuse me"


async def echo(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    if request == REFUSED:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "as you wish")
    # Answers come out of order.
    await asyncio.sleep(len(request) % 3 / 1000)
    return request


@pytest_asyncio.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


def call(address: str, requests: list[bytes], in_flight: int) -> list[bytes]:
    with closing(Http2Calls(address, ECHO)) as calls:
        return calls.call(requests, in_flight)


@pytest.mark.parametrize("in_flight", [1, 64])
async def test_answers_come_in_the_order_of_the_requests(address: str, in_flight: int) -> None:
    requests = [b"%d" % number * (number % 5 + 1) for number in range(500)]

    assert await asyncio.to_thread(call, address, requests, in_flight) == requests


async def test_more_bytes_than_the_server_s_window_takes_wait_for_room(address: str) -> None:
    requests = [b"%05d" % number * 2_000 for number in range(200)]

    assert await asyncio.to_thread(call, address, requests, 64) == requests


async def test_a_connection_takes_one_round_of_calls_after_the_other(address: str) -> None:
    def rounds() -> list[list[bytes]]:
        with closing(Http2Calls(address, ECHO)) as calls:
            return [calls.call([b"a", b"bb"], 2), calls.call([], 2), calls.call([b"ccc"], 2)]

    assert await asyncio.to_thread(rounds) == [[b"a", b"bb"], [], [b"ccc"]]


async def test_a_refused_call_is_an_error(address: str) -> None:
    with pytest.raises(CallFailed, match="as you wish"):
        await asyncio.to_thread(call, address, [b"fine", REFUSED], 1)


async def test_a_request_that_does_not_fit_into_a_frame_is_not_sent(address: str) -> None:
    largest = MAX_FRAME - 5

    assert await asyncio.to_thread(call, address, [b"x" * largest], 1) == [b"x" * largest]
    with pytest.raises(ValueError, match="does not fit"):
        await asyncio.to_thread(call, address, [b"x" * (largest + 1)], 1)
