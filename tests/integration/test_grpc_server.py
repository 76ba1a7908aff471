"""The answers that every service gives, whatever its servicers do: a real server, a real client."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from api_server.domain.errors import StoreUnavailable
from contract_runtime.errors import ServiceError
from contract_runtime.limits import MAX_REQUEST_BYTES
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from local_stack.ports import FREE_PORTS
from service_runtime import checked_calls
from service_runtime.health_probe import is_serving
from service_runtime.server import GrpcServer, PortTaken
from service_runtime.validation import ContractValidator
from tests.integration.grpc_service import adding, serving
from tests.waiting import until, wait_for

JOB_ID = "0198f0a0-0000-7000-8000-000000000001"


class Servicer(job_service_pb2_grpc.JobServiceServicer):
    """Fails in the way that the job type names."""

    async def Create(self, request: job_service_pb2.CreateRequest, _context: Any) -> job_pb2.Job:  # noqa: N802 - gRPC's name
        match request.type:
            case "bug":
                raise RuntimeError("secret of the server")
            case "slow":
                await asyncio.Event().wait()
            case "down":
                raise StoreUnavailable
            case "own-timeout":
                raise TimeoutError
            case "own-cancel":
                raise asyncio.CancelledError
            case "wrong-type":
                return cast("job_pb2.Job", "secret of the server")
            case "no-unicode":
                raise ServiceError("secret \udcff of the server")
        return job_pb2.Job(type=request.type)


@pytest.fixture
async def server() -> AsyncIterator[GrpcServer]:
    servicer: Any = Servicer  # the other methods are missing on purpose
    async with serving(adding(servicer()), deadline=0.2) as server:
        yield server


@pytest.fixture
async def channel(server: GrpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield channel


async def send_raw(channel: Any, raw: bytes, method: str = "/jobs.v1.JobService/Create") -> Any:
    return await channel.unary_unary(method)(raw)


async def send_half_a_message(address: str, method: str) -> grpc.aio.AioRpcError:
    """Open a call, and end its request without a message."""
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.stream_unary(method)()
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with asyncio.timeout(5):
                await call
        return caught.value


async def failure(channel: grpc.aio.Channel, job_type: str) -> tuple[grpc.aio.AioRpcError, Any]:
    stub = job_service_pb2_grpc.JobServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Create(job_service_pb2.CreateRequest(type=job_type, payload=dict_to_struct({})))
    return caught.value, rpc_status.from_call(caught.value)


async def test_a_good_call_is_answered(channel: grpc.aio.Channel) -> None:
    stub = job_service_pb2_grpc.JobServiceStub(channel)
    answer = await stub.Create(job_service_pb2.CreateRequest(type="ok", payload=dict_to_struct({})))
    assert answer.type == "ok"


@pytest.mark.parametrize("raw", [b"\xff\xff", b"\x0a\x05ab"])
async def test_broken_bytes_are_an_invalid_argument(channel: grpc.aio.Channel, raw: bytes) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_raw(channel, raw)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_struct_nested_beyond_what_protobuf_decodes_is_an_invalid_argument(
    channel: grpc.aio.Channel,
) -> None:
    def field(number: int, content: bytes) -> bytes:
        size, prefix = len(content), bytes([number << 3 | 2])
        while size > 127:
            prefix += bytes([size & 127 | 128])
            size >>= 7
        return prefix + bytes([size]) + content

    value = field(3, b"x")
    for _ in range(200):
        value = field(5, field(1, field(1, b"k") + field(2, value)))
    raw = field(2, b"ok") + field(3, field(1, field(1, b"k") + field(2, value)))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_raw(channel, raw)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_broken_rules_come_as_bad_request(channel: grpc.aio.Channel) -> None:
    error, status = await failure(channel, "Not A Type")
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    details = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(details)
    assert details.field_violations[0].field == "type"


async def test_a_bug_is_internal_and_its_text_stays_in_the_server(channel: grpc.aio.Channel) -> None:
    error, _ = await failure(channel, "bug")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(error)


class BrokenLog:
    """A log that fails at every call."""

    def __getattr__(self, name: str) -> Any:
        raise OSError("secret of the log")


@pytest.mark.parametrize("job_type", ["bug", "own-timeout", "own-cancel", "no-unicode", "wrong-type"])
@pytest.mark.parametrize("is_broken", [False, True])
async def test_no_text_of_a_fault_reaches_a_caller_even_if_the_log_fails(
    channel: grpc.aio.Channel,
    monkeypatch: pytest.MonkeyPatch,
    job_type: str,
    is_broken: bool,
) -> None:
    if is_broken:
        monkeypatch.setattr(checked_calls, "log", BrokenLog())
    error, status = await failure(channel, job_type)
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == status.message == "the server failed to handle the call"


async def test_a_fault_of_the_validator_is_internal_and_its_text_stays_in_the_server(
    channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: ContractValidator, _message: Any) -> None:
        raise RuntimeError("secret of the rules")

    monkeypatch.setattr(ContractValidator, "check", fail)
    error, status = await failure(channel, "ok")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == status.message == "the server failed to handle the call"


async def test_a_timeout_inside_a_servicer_is_not_a_deadline_exceeded(channel: grpc.aio.Channel) -> None:
    error, _ = await failure(channel, "own-timeout")
    assert error.code() is grpc.StatusCode.INTERNAL


async def test_a_call_that_takes_too_long_ends_with_deadline_exceeded(channel: grpc.aio.Channel) -> None:
    error, _ = await failure(channel, "slow")
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_an_unavailable_database_gives_a_retry_delay(channel: grpc.aio.Channel) -> None:
    error, status = await failure(channel, "down")
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(retry)
    assert (info.reason, info.domain, retry.retry_delay.seconds) == ("DATABASE_UNAVAILABLE", "jobs.v1", 1)


async def test_many_violations_fit_into_the_trailers(channel: grpc.aio.Channel) -> None:
    request = job_service_pb2.BatchUpdateStatusRequest(
        requests=[job_service_pb2.UpdateStatusRequest(id="é" * 100, status=job_pb2.Job.cancelled)] * 1000
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await job_service_pb2_grpc.JobServiceStub(channel).BatchUpdateStatus(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_wrong_values_in_other_scripts_fit_into_the_trailers_too(channel: grpc.aio.Channel) -> None:
    labels = {"\U0001f600" * 200 + str(number): "\x01" + "\U0001f600" * 200 for number in range(20)}
    request = job_service_pb2.CreateRequest(type="\U0001f600" * 2000, labels=labels)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await job_service_pb2_grpc.JobServiceStub(channel).Create(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_broken_bytes_to_the_health_service_are_an_invalid_argument(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_raw(channel, b"\xff\xff", "/grpc.health.v1.Health/Check")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_health_of_an_unknown_service_is_not_found(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nope"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("over", [0, 1])
async def test_a_message_of_eight_mebibytes_is_received_and_a_larger_one_is_not(
    channel: grpc.aio.Channel, over: int
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_raw(channel, b"\xff" * (MAX_REQUEST_BYTES + over))
    expected = grpc.StatusCode.RESOURCE_EXHAUSTED if over else grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.code() is expected


async def test_the_health_is_not_serving_until_it_is_set(
    server: GrpcServer, channel: grpc.aio.Channel
) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", "jobs.v1.JobService"):
        for is_serving_now, expected in ((False, 2), (True, 1)):
            await server.set_serving(is_serving_now)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == expected


async def test_a_server_that_turns_away_is_not_serving_and_still_answers(
    server: GrpcServer, channel: grpc.aio.Channel
) -> None:
    health_of = health_pb2_grpc.HealthStub(channel)
    jobs = job_service_pb2_grpc.JobServiceStub(channel)
    await server.set_serving(True)
    turning_away = asyncio.create_task(server.turn_away(60))

    async def turned_away() -> bool:
        return bool((await health_of.Check(health_pb2.HealthCheckRequest())).status != 1)

    await until(turned_away)
    await server.set_serving(True)
    for name in ("", "jobs.v1.JobService"):
        assert (await health_of.Check(health_pb2.HealthCheckRequest(service=name))).status == 2
    request = job_service_pb2.CreateRequest(type="ok", payload=dict_to_struct({}))
    assert (await jobs.Create(request)).type == "ok"
    turning_away.cancel()


async def test_a_server_that_was_never_serving_turns_away_at_once(server: GrpcServer) -> None:
    async with asyncio.timeout(10):
        await server.turn_away(60)


SERVICE = """
import asyncio, sys
from service_runtime.logging import configure_logging
from service_runtime.settings import ServiceSettings
configure_logging(ServiceSettings())
from service_runtime.health_probe import is_serving
from service_runtime.server import GrpcServer
async def main():
    server = GrpcServer("127.0.0.1", int(sys.argv[1]), deadline=5)
    await server.start()
    await server.set_serving(True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
SETTINGS_FRAME = b"\0\0\0\4\0" + b"\0\0\0\0"
GOAWAY_FRAME = b"\0\0\x08\7\0" + b"\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\x0b"


def test_grpc_logs_nothing_when_a_caller_closes_its_connection() -> None:
    # A caller sends this GOAWAY when its pings get no answer. gRPC's own log lines would not be JSON.
    port = FREE_PORTS.take()
    with subprocess.Popen([sys.executable, "-c", SERVICE, str(port)], stderr=subprocess.PIPE) as service:
        try:
            wait_for(lambda: is_serving(f"127.0.0.1:{port}"), "it serves")
            with socket.create_connection(("127.0.0.1", port), timeout=20) as caller:
                caller.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS_FRAME + GOAWAY_FRAME)
                caller.shutdown(socket.SHUT_WR)
                while caller.recv(1000):
                    pass
        finally:
            service.kill()
        assert service.stderr is not None
        assert service.stderr.read() == b""


async def test_a_port_that_is_in_use_is_an_error(server: GrpcServer) -> None:
    host, port = server.address.rsplit(":", 1)
    with pytest.raises(PortTaken, match=port):
        await GrpcServer(host, int(port), deadline=1).start()


async def test_a_request_that_ends_before_its_message_is_refused(server: GrpcServer) -> None:
    error = await send_half_a_message(server.address, "/jobs.v1.JobService/Create")

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "ends before its message" in str(error.details())


@pytest.mark.parametrize(
    ("method", "raw", "said"),
    [
        ("Get", bytes(64 * 1024 + 1), "must have at most 65536 bytes"),
        ("Create", bytes(2 * 1024 * 1024 + 1), "must have at most 2097152 bytes"),
        ("BatchCreate", b"\x0a\x00" * 100_000, "requests: must have at most 1000 items"),
        ("rest.BatchCreate", b"\x0a\x00" * 100_000, "requests: must have at most 1000 items"),
        ("rest.Create", bytes(4 * 1024 * 1024 + 5000), "must have at most"),
    ],
)
async def test_a_request_above_its_limits_is_not_decoded(
    channel: grpc.aio.Channel, method: str, raw: bytes, said: str
) -> None:
    service = "/jobs.v1.rest.JobService/" if method.startswith("rest.") else "/jobs.v1.JobService/"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send_raw(channel, raw, service + method.removeprefix("rest."))

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(caught.value.details())


async def negated(condition: Callable[[], Awaitable[bool]]) -> bool:
    return not await condition()


async def test_no_more_calls_run_than_the_server_takes() -> None:
    servicer: Any = Servicer  # the other methods are missing on purpose
    async with (
        serving(adding(servicer()), deadline=5, max_calls=2) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        slow = job_service_pb2.CreateRequest(type="slow", payload=dict_to_struct({}))
        running = [stub.Create(slow), stub.Create(slow)]
        quick = job_service_pb2.CreateRequest(type="ok", payload=dict_to_struct({}))

        async def is_refused() -> bool:
            try:
                await stub.Create(quick)
            except grpc.aio.AioRpcError as error:
                return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return False

        await until(is_refused)
        running[0].cancel()
        await until(lambda: negated(is_refused))
        running[1].cancel()
