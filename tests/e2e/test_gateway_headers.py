"""What the gateway does with headers: real Envoy in front of the real services.

A gRPC server remembers a header that it could not parse, with its place in the connection's header table, and
fails later calls that refer to it. All clients share the gateway's connections, so no such header may pass.
"""

import socket
import time
from collections.abc import Sequence

import grpc
import httpx
import pytest
from uuid_utils import uuid7

from job_client._gen.jobs.v1 import (
    job_service_pb2,
    job_service_pb2_grpc,
    worker_service_pb2,
    worker_service_pb2_grpc,
)
from local_stack.stack import Stack
from tests.e2e.rest import COMPUTE, PATIENCE, error_of

Header = tuple[str, str]

LIST = "/jobs.v1.JobService/List"
GET_STATE = "/jobs.v1.WorkerService/GetState"
EMPTY_MESSAGE = b"\0\0\0\0\0"
ONE_JOB = b"\0\0\0\0\2" + job_service_pb2.ListRequest(page_size=1).SerializeToString()
"""Other tests store large jobs, of which a whole page takes long."""
MESSAGES = {LIST: ONE_JOB, GET_STATE: EMPTY_MESSAGE}
NATIVE = {"content-type": "application/grpc", "te": "trailers"}

REFUSED = [
    ("grpc-timeout", "zzz"),
    ("grpc-timeout", ""),
    ("grpc-timeout", "5s"),
    ("grpc-timeout", "-5S"),
    ("grpc-timeout", "123456789S"),
    ("grpc-timeout", "5S,5S"),
    ("grpc-encoding", "nope"),
    ("grpc-encoding", ""),
    ("grpc-encoding", "GZIP"),
]
REMOVED = [
    ("x-foo-bin", "!"),
    ("grpc-trace-bin", "!"),
    ("grpc-status", "zzz"),
    ("grpc-message", "%zz"),
    ("grpc-previous-rpc-attempts", "x"),
    ("grpc-retry-pushback-ms", "x"),
    ("grpc-internal-encoding-request", "nope"),
    # Names that gRPC does not allow.
    ("a~b", "x"),
    ("a!", "x"),
    ("~", "x"),
    ("$-x", "x"),
]
HARMLESS = [
    ("te", "zzz"),
    ("te", ""),
    ("4", "x"),
    ("a.b-c", "x"),
    ("grpc-accept-encoding", "zzz"),
    ("lb-token", "!"),
    ("grpc-timeout", "5S"),
    ("grpc-timeout", "5000m"),
    ("grpc-timeout", "99999999H"),
    ("grpc-encoding", "gzip"),
    ("grpc-encoding", "identity"),
]


def call_natively(client: httpx.Client, path: str, header: Header) -> httpx.Response:
    """A gRPC call over HTTP/1.1, which Envoy takes too: gRPC's own client would not send a bad header."""
    return client.post(path, content=MESSAGES[path], headers=NATIVE | dict([header]))


def fresh_channel(address: str) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])


def assert_others_are_served(stack: Stack) -> None:
    """Calls with deadlines of their own all get an answer, at both ports.

    They may share a connection to the gateway, because the gateway shares its own ones between all clients.
    """
    with fresh_channel(stack.endpoints.jobs_address) as channel:
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        for number in range(30):
            stub.List(job_service_pb2.ListRequest(page_size=1), timeout=PATIENCE + number / 7)
    with fresh_channel(stack.endpoints.workers_address) as channel:
        workers = worker_service_pb2_grpc.WorkerServiceStub(channel)
        for number in range(5):
            workers.GetState(worker_service_pb2.GetStateRequest(), timeout=PATIENCE + number / 7)


def test_a_header_that_grpc_cannot_parse_is_refused_and_other_calls_succeed(
    stack: Stack, jobs: httpx.Client, workers: httpx.Client, subtests: pytest.Subtests
) -> None:
    for header in REFUSED:
        with subtests.test(header=header):
            for answer in (
                jobs.get("/jobs", headers=[header]),
                jobs.post("/jobs", json=COMPUTE, headers=[header]),
                workers.get("/state", headers=[header]),
            ):
                assert f"The header {header[0]} must be " in error_of(answer, 400, 3)["message"]
            for answer in (call_natively(jobs, LIST, header), call_natively(workers, GET_STATE, header)):
                assert answer.headers["grpc-status"] == "3"
                assert f"The header {header[0]} must be " in answer.headers["grpc-message"]

    assert_others_are_served(stack)


@pytest.mark.parametrize("headers", [REMOVED, HARMLESS], ids=["removed", "harmless"])
def test_any_other_header_affects_no_call(
    stack: Stack,
    jobs: httpx.Client,
    workers: httpx.Client,
    subtests: pytest.Subtests,
    headers: Sequence[Header],
) -> None:
    for header in headers:
        with subtests.test(header=header):
            for client, rest_path, path in ((jobs, "/jobs?pageSize=1", LIST), (workers, "/state", GET_STATE)):
                assert client.get(rest_path, headers=[header]).status_code == 200
                native = call_natively(client, path, header)
                # A failure would be in the headers. A success is in the trailers, which httpx drops.
                assert (native.status_code, native.headers.get("grpc-status")) == (200, None)

    assert_others_are_served(stack)


def test_a_header_that_is_not_text_does_not_fill_the_log(stack: Stack, jobs: httpx.Client) -> None:
    log = stack.log_file("api_server")
    begin = log.stat().st_size
    for name in (b"idempotency-key", b"x-anything"):
        jobs.post("/jobs", json=COMPUTE, headers=[(name, b"\x80\xff")])
    assert b"Invalid encoding" not in log.read_bytes()[begin:]


def test_trailers_that_grpc_cannot_parse_affect_no_call(stack: Stack) -> None:
    def frame(kind: int, flags: int, payload: bytes) -> bytes:
        stream = 0 if kind == 4 else 1
        return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload

    def header_block(headers: dict[str, str]) -> bytes:
        """HPACK: each header as a literal that is not indexed."""
        strings = [text.encode() for header in headers.items() for text in header]
        parts = [bytes([len(text)]) + text for text in strings]
        return b"".join(b"\0" + name + value for name, value in zip(parts[::2], parts[1::2], strict=True))

    settings, headers, data, end_stream, end_headers = 4, 1, 0, 1, 4
    # The answer must be small: this client grants no more than HTTP/2's first 64 KiB.
    path = "/jobs.v1.JobService/BatchGet"
    absent = job_service_pb2.BatchGetRequest(ids=[str(uuid7())]).SerializeToString()
    message = b"\0" + len(absent).to_bytes(4) + absent
    start = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "gateway"}
    host, port = stack.endpoints.jobs_address.split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
            + frame(settings, 0, b"")
            + frame(headers, end_headers, header_block(start | NATIVE))
            + frame(data, 0, message)
            + frame(headers, end_headers | end_stream, header_block({"grpc-timeout": "zzz"}))
        )
        stream = connection.makefile("rb")
        kinds = []
        while True:
            head = stream.read(9)
            assert len(head) == 9, "the gateway closed the connection"
            stream.read(int.from_bytes(head[:3]))
            if int.from_bytes(head[5:]) == 1:
                kinds.append(head[3])
                if head[3] == headers and head[4] & end_stream:
                    break

    # An error would be headers only.
    assert kinds == [headers, data, headers]
    assert_others_are_served(stack)


def test_a_deadline_that_has_passed_is_504_even_as_the_first_call_of_a_connection(stack: Stack) -> None:
    stack.stop("gateway")
    stack.start("gateway")

    with httpx.Client(base_url=stack.endpoints.jobs_url, timeout=PATIENCE) as jobs:
        passed = {"grpc-timeout": "0S"}
        deadline = time.monotonic() + PATIENCE
        answer = jobs.get("/jobs", headers=passed)
        while answer.status_code == 503 and time.monotonic() < deadline:
            answer = jobs.get("/jobs", headers=passed)
        error_of(answer, 504, 4)
        assert call_natively(jobs, LIST, ("grpc-timeout", "0S")).headers["grpc-status"] == "4"
    assert_others_are_served(stack)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_are_read(stack: Stack, compression: grpc.Compression) -> None:
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["input"] = "again and " * 1000

    with grpc.insecure_channel(stack.endpoints.jobs_address, compression=compression) as channel:
        job = job_service_pb2_grpc.JobServiceStub(channel).Create(request, timeout=PATIENCE)

    assert job.payload == request.payload


# Sizes.


def test_an_idempotency_key_of_17_kb_reaches_the_server_which_names_it(
    stack: Stack, jobs: httpx.Client
) -> None:
    key = "k" * 17_000

    body = error_of(jobs.post("/jobs", json=COMPUTE, headers={"idempotency-key": key}), 400, 3)
    request = job_service_pb2.CreateRequest(type="compute")
    with fresh_channel(stack.endpoints.jobs_address) as channel:
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failure:
            stub.Create(request, metadata=(("idempotency-key", key),), timeout=PATIENCE)

    assert body["details"][0]["fieldViolations"][0]["field"] == "idempotency-key"
    assert failure.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "idempotency-key" in (failure.value.details() or "")


def test_a_path_of_23_kb_reaches_the_server_though_the_gateway_repeats_it(jobs: httpx.Client) -> None:
    body = error_of(jobs.get(f"/jobs/{'a' * 23_000}"), 400, 3)

    assert body["details"][0]["fieldViolations"][0]["field"] == "id"


def test_headers_above_24_kib_are_431(jobs: httpx.Client, workers: httpx.Client) -> None:
    for answer in (
        jobs.get(f"/jobs/{'a' * 30_000}"),
        jobs.post("/jobs", json=COMPUTE, headers={"idempotency-key": "k" * 25_000}),
        workers.get("/state", headers={"x-any": "a" * 70_000}),
    ):
        assert error_of(answer, 431, 3)["message"] == "The headers are larger than 24 KiB"


def test_a_native_call_with_headers_above_24_kib_fails_alone(stack: Stack) -> None:
    with fresh_channel(stack.endpoints.jobs_address) as channel:
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        with pytest.raises(grpc.RpcError) as failure:
            stub.List(job_service_pb2.ListRequest(), metadata=(("x-any", "a" * 25_000),), timeout=PATIENCE)
        stub.List(job_service_pb2.ListRequest(page_size=1), timeout=PATIENCE)

    # HTTP/2 has no answer for it: the stream is reset.
    assert failure.value.code() == grpc.StatusCode.INTERNAL


# What is neither REST nor gRPC.


def test_an_upgrade_is_403(jobs: httpx.Client) -> None:
    answer = jobs.get("/jobs", headers={"connection": "upgrade", "upgrade": "websocket"})

    error_of(answer, 403, 2)


def test_a_content_type_that_only_begins_like_grpc_is_415(jobs: httpx.Client) -> None:
    answer = jobs.post(LIST, content=EMPTY_MESSAGE, headers={"content-type": "application/grpc;foo"})

    error_of(answer, 415, 3)
