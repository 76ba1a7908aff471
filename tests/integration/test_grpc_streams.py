"""Streaming calls get the same checks, deadlines and errors as unary ones: a real server, a real client.

The service is described here, with messages of the contract.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from unittest.mock import ANY, Mock

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from api_server.domain.errors import StoreUnavailable
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import CreateRequest
from service_runtime import checked_calls
from service_runtime.server import GrpcServer

NAME = "tests.v1.Streams"
METHODS = {
    # Name: whether requests and responses are streams.
    "Yield": (False, True),
    "Write": (False, True),
    "Collect": (True, False),
    "CollectRead": (True, False),
    "Echo": (True, True),
    "EchoWrite": (True, True),
}
REQUEST_STREAMS = [name for name, (is_stream, _) in METHODS.items() if is_stream]
RESPONSE_STREAMS = [name for name, (_, is_stream) in METHODS.items() if is_stream]
DEADLINE = 0.2


def describe_service() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="tests/v1/streams.proto",
        package="tests.v1",
        syntax="proto3",
        dependency=["jobs/v1/job.proto", "jobs/v1/job_service.proto"],
    )
    service = file.service.add(name="Streams")
    for name, (client_streaming, server_streaming) in METHODS.items():
        service.method.add(
            name=name,
            input_type=".jobs.v1.CreateRequest",
            output_type=".jobs.v1.Job",
            client_streaming=client_streaming,
            server_streaming=server_streaming,
        )
    pool = descriptor_pool.Default()
    pool.Add(file)
    return pool.FindServiceByName(NAME)


SERVICE = describe_service()


class Streams:
    """Answers each request with a job of its type, or fails as the type says."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the calls of the tests before."""
        self.started = asyncio.Event()
        self.ended = asyncio.Event()
        self.ended_in_call: bool | None = None
        """Whether the end of the call was awaited in the call's own task."""
        self.read: list[str] = []

    async def answer(self, request: CreateRequest) -> Any:
        match request.type.removeprefix("late-"):
            case "bug":
                raise RuntimeError("secret of the server")
            case "down":
                raise StoreUnavailable
            case "own-timeout":
                raise TimeoutError
            case "own-cancel":
                raise asyncio.CancelledError
            case "wrong-type":
                return "secret of the server"
            case "forever":
                await asyncio.Event().wait()
            case "slow":
                await asyncio.sleep(3 * DEADLINE)
        return Job(type=request.type)

    @asynccontextmanager
    async def noting(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        self.started.set()
        try:
            yield
        finally:
            # A generator that the garbage collector closes ends in a task of its own.
            self.ended_in_call = task is asyncio.current_task()
            self.ended.set()

    async def answers(self, requests: Any) -> AsyncIterator[Any]:
        async for request in requests:
            self.read.append(request.type)
            if request.type.startswith("late-"):
                yield Job(type="first")
            yield await self.answer(request)
            while request.type == "endless":
                yield Job(type="x" * 60_000)

    async def Yield(self, request: CreateRequest, _context: Any) -> AsyncIterator[Any]:  # noqa: N802 - an RPC's name
        async with self.noting():
            async for answer in self.answers(_one(request)):
                yield answer

    async def Write(self, request: CreateRequest, context: Any) -> None:  # noqa: N802 - an RPC's name
        async with self.noting():
            async for answer in self.answers(_one(request)):
                await context.write(answer)

    async def Collect(self, requests: AsyncIterator[CreateRequest], _context: Any) -> Any:  # noqa: N802 - an RPC's name
        async with self.noting():
            return [answer async for answer in self.answers(requests)][-1]

    async def CollectRead(self, _requests: Any, context: Any) -> Any:  # noqa: N802 - an RPC's name
        async with self.noting():
            return [answer async for answer in self.answers(_read(context))][-1]

    async def Echo(self, requests: AsyncIterator[CreateRequest], _context: Any) -> AsyncIterator[Any]:  # noqa: N802 - an RPC's name
        async with self.noting():
            async for answer in self.answers(requests):
                yield answer

    async def EchoWrite(self, _requests: Any, context: Any) -> None:  # noqa: N802 - an RPC's name
        async with self.noting():
            async for answer in self.answers(_read(context)):
                await context.write(answer)

    def add_to(self, server: Any) -> None:
        """What generated code does."""
        handlers = {}
        for name, (client_streaming, server_streaming) in METHODS.items():
            kinds = f"{'stream' if client_streaming else 'unary'}_{'stream' if server_streaming else 'unary'}"
            make = getattr(grpc, f"{kinds}_rpc_method_handler")
            handlers[name] = make(
                getattr(self, name),
                request_deserializer=CreateRequest.FromString,
                response_serializer=Job.SerializeToString,
            )
        server.add_registered_method_handlers(NAME, handlers)


async def _one(request: CreateRequest) -> AsyncIterator[CreateRequest]:
    yield request


async def _read(context: Any) -> AsyncIterator[CreateRequest]:
    while (request := await context.read()) is not grpc.aio.EOF:
        yield request


class Served(NamedTuple):
    streams: Streams
    server: GrpcServer
    channel: grpc.aio.Channel


@asynccontextmanager
async def served(stream_deadline: float | None = None) -> AsyncIterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    streams = Streams()
    server = GrpcServer("127.0.0.1", port, deadline=DEADLINE, stream_deadline=stream_deadline)
    server.add(SERVICE, streams.add_to)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield Served(streams, server, channel)
    finally:
        await server.stop(0)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Served]:
    """Without a deadline for streams."""
    async with served() as server:
        yield server


@pytest.fixture(scope="module")
async def strict_server() -> AsyncIterator[Served]:
    """With a deadline for streams."""
    async with served(stream_deadline=DEADLINE) as server:
        yield server


@pytest.fixture
def streams(server: Served) -> Streams:
    server.streams.reset()
    return server.streams


@pytest.fixture
def channel(server: Served, streams: Streams) -> grpc.aio.Channel:  # noqa: ARG001 - a test begins with fresh streams
    return server.channel


@pytest.fixture
def strict(strict_server: Served) -> Served:
    strict_server.streams.reset()
    return strict_server


def request_of(job_type: str) -> bytes:
    return CreateRequest(type=job_type, payload=dict_to_struct({})).SerializeToString()


def begin(channel: Any, method: str, *requests: bytes, is_open: bool = False, **options: Any) -> Any:
    """A call of `method`. A request stream ends after `requests`, unless `is_open`."""
    client_streaming, server_streaming = METHODS[method]
    kinds = f"{'stream' if client_streaming else 'unary'}_{'stream' if server_streaming else 'unary'}"
    multi = getattr(channel, kinds)(f"/{NAME}/{method}", response_deserializer=Job.FromString)

    async def stream() -> AsyncIterator[bytes]:
        for request in requests:
            yield request
        if is_open:
            await asyncio.Event().wait()

    return multi(stream() if client_streaming else requests[0], **options)


async def types_of(channel: Any, method: str, *requests: bytes, **options: Any) -> list[str]:
    """The types of all jobs that the call is answered with."""
    call = begin(channel, method, *requests, **options)
    if METHODS[method][1]:
        return [job.type async for job in call]
    return [(await call).type]


async def failure(
    channel: Any, method: str, *requests: bytes, **options: Any
) -> tuple[grpc.aio.AioRpcError, Any]:
    """The error of the call, and its google.rpc.Status."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await types_of(channel, method, *requests, **options)
    return caught.value, rpc_status.from_call(caught.value)


@pytest.mark.parametrize("method", METHODS)
async def test_a_good_call_is_answered(channel: grpc.aio.Channel, method: str) -> None:
    is_stream = METHODS[method][0]
    requests = [request_of("a"), request_of("b")] if is_stream else [request_of("b")]
    answers = await types_of(channel, method, *requests)
    assert answers == (["a", "b"] if METHODS[method] == (True, True) else ["b"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("raw", [b"\xff\xff", b"\x0a\x05ab"])
async def test_broken_bytes_are_an_invalid_argument(
    streams: Streams, channel: grpc.aio.Channel, method: str, raw: bytes
) -> None:
    error, _ = await failure(channel, method, raw)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert streams.read == []


@pytest.mark.parametrize("method", METHODS)
async def test_broken_rules_come_as_bad_request(
    streams: Streams, channel: grpc.aio.Channel, method: str
) -> None:
    error, status = await failure(channel, method, request_of("Not A Type"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(details)
    assert details.field_violations[0].field == "type"
    assert streams.read == []


@pytest.mark.parametrize("method", REQUEST_STREAMS)
@pytest.mark.parametrize("raw", [b"\xff\xff", request_of("Not A Type")])
async def test_each_message_of_a_request_stream_is_checked_when_it_is_read(
    streams: Streams, channel: grpc.aio.Channel, method: str, raw: bytes
) -> None:
    error, _ = await failure(channel, method, request_of("a"), request_of("b"), raw, request_of("c"))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert streams.read == ["a", "b"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_field_may_occur_twice_in_a_native_call(channel: grpc.aio.Channel, method: str) -> None:
    raw = CreateRequest(type="a").SerializeToString() + request_of("b")
    assert await types_of(channel, method, raw) == ["b"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("when", ["", "late-"])
@pytest.mark.parametrize("fault", ["bug", "own-timeout", "own-cancel", "wrong-type"])
async def test_a_fault_at_any_point_is_internal_and_its_text_goes_to_the_log_only(
    streams: Streams,
    channel: grpc.aio.Channel,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    when: str,
    fault: str,
) -> None:
    log = Mock()
    monkeypatch.setattr(checked_calls, "log", log)
    error, status = await failure(channel, method, request_of(when + fault))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == status.message == "the server failed to handle the call"
    assert streams.ended_in_call
    log.error.assert_called_once_with("call_failed", method=f"{NAME}/{method}", exc_info=ANY)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("when", ["", "late-"])
async def test_a_refusal_at_any_point_keeps_its_code_reason_and_delay(
    channel: grpc.aio.Channel, method: str, when: str
) -> None:
    error, status = await failure(channel, method, request_of(when + "down"))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain, retry.retry_delay.seconds) == ("DATABASE_UNAVAILABLE", "jobs.v1", 1)


@pytest.mark.parametrize("method", RESPONSE_STREAMS)
async def test_the_responses_before_a_failure_reach_the_caller(
    channel: grpc.aio.Channel, method: str
) -> None:
    call = begin(channel, method, request_of("late-down"))
    assert (await call.read()).type == "first"
    with pytest.raises(grpc.aio.AioRpcError):
        await call.read()


@pytest.mark.parametrize("method", METHODS)
async def test_the_deadline_of_unary_calls_does_not_end_a_stream(
    channel: grpc.aio.Channel, method: str
) -> None:
    assert await types_of(channel, method, request_of("slow")) == ["slow"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_stream_beyond_its_own_deadline_ends_with_deadline_exceeded(
    strict: Served, method: str
) -> None:
    error, status = await failure(strict.channel, method, request_of("forever"))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "SERVER_DEADLINE_EXCEEDED"
    assert strict.streams.ended_in_call


@pytest.mark.parametrize("method", REQUEST_STREAMS)
async def test_the_deadline_ends_a_stream_that_waits_for_its_next_request(
    strict: Served, method: str
) -> None:
    error, _ = await failure(strict.channel, method, request_of("a"), is_open=True)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert strict.streams.ended_in_call


@pytest.mark.parametrize("method", METHODS)
async def test_the_deadline_of_the_caller_ends_the_servicer(
    streams: Streams, channel: grpc.aio.Channel, method: str
) -> None:
    error, _ = await failure(channel, method, request_of("forever"), timeout=DEADLINE)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await streams.ended.wait()
    assert streams.ended_in_call


@pytest.mark.parametrize("method", METHODS)
async def test_a_cancelled_call_ends_the_servicer(
    streams: Streams, channel: grpc.aio.Channel, method: str
) -> None:
    call = begin(channel, method, request_of("forever"))
    await streams.started.wait()
    call.cancel()
    await streams.ended.wait()
    assert streams.ended_in_call


@pytest.mark.parametrize("method", RESPONSE_STREAMS)
async def test_a_caller_that_stops_reading_and_cancels_ends_the_servicer(
    streams: Streams, channel: grpc.aio.Channel, method: str
) -> None:
    # The servicer waits in a write then, not in its own code.
    call = begin(channel, method, request_of("endless"))
    for _ in range(5):
        await call.read()
    call.cancel()
    await streams.ended.wait()
    assert streams.ended_in_call


@pytest.mark.parametrize("method", RESPONSE_STREAMS)
async def test_the_deadline_ends_a_servicer_whose_caller_does_not_read(strict: Served, method: str) -> None:
    call = begin(strict.channel, method, request_of("endless"))
    await strict.streams.ended.wait()
    assert strict.streams.ended_in_call
    call.cancel()


@pytest.mark.parametrize("method", METHODS)
async def test_the_stop_of_the_server_ends_the_servicer(method: str) -> None:
    async with served() as (streams, server, channel):
        call = begin(channel, method, request_of("forever"))
        await streams.started.wait()
        await server.stop(0)
        await streams.ended.wait()
        assert streams.ended_in_call
        with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await (call.read() if METHODS[method][1] else call)


@pytest.mark.parametrize("method", REQUEST_STREAMS)
async def test_a_call_that_is_cancelled_between_its_requests_ends_the_servicer(
    streams: Streams, channel: grpc.aio.Channel, method: str
) -> None:
    call = begin(channel, method, request_of("a"), is_open=True)
    await streams.started.wait()
    call.cancel()
    await streams.ended.wait()
    assert streams.ended_in_call


async def test_watching_the_health_outlasts_the_deadline_and_sees_each_change(server: Served) -> None:
    watch = health_pb2_grpc.HealthStub(server.channel).Watch(health_pb2.HealthCheckRequest(service=NAME))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    await asyncio.sleep(2 * DEADLINE)
    await server.server.set_serving(True)
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()
