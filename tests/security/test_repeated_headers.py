"""One client repeats a header that gRPC reads. All clients share the gateway's connections to the servers."""

import grpc
import httpx
import pytest

from job_client._gen.jobs.v1 import job_service_pb2, job_service_pb2_grpc
from local_stack.stack import Stack
from tests.e2e.rest import PATIENCE, error_of

LIST = "/jobs.v1.JobService/List"
ONE_JOB = b"\0\0\0\0\2" + job_service_pb2.ListRequest(page_size=1).SerializeToString()
NATIVE = [("content-type", "application/grpc"), ("te", "trailers")]
COMPRESSIONS = (grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate)


def assert_all_compressions_are_served(stack: Stack) -> None:
    for compression in COMPRESSIONS:
        with grpc.insecure_channel(
            stack.endpoints.jobs_address,
            options=[("grpc.use_local_subchannel_pool", 1)],
            compression=compression,
        ) as channel:
            stub = job_service_pb2_grpc.JobServiceStub(channel)
            for _ in range(5):
                stub.List(job_service_pb2.ListRequest(page_size=1), timeout=PATIENCE)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("grpc-encoding", "gzip", "snappy"),
        ("grpc-encoding", "gzip", "gzip"),
        ("grpc-encoding", "identity", ""),
        ("grpc-timeout", "5S", "zzz"),
        ("grpc-timeout", "5S", "5S"),
    ],
)
def test_of_a_repeated_header_the_servers_see_the_first_value(
    stack: Stack, jobs: httpx.Client, name: str, first: str, second: str
) -> None:
    repeated = [(name, first), (name, second)]
    # Twice: only the second of two equal headers is sent by its place in the header table.
    for _ in range(2):
        native = jobs.post(LIST, content=ONE_JOB, headers=[*NATIVE, *repeated])
        rest = jobs.get("/jobs?pageSize=1", headers=repeated)

    if name == "grpc-timeout":
        # Envoy joins the values of this header before any rule sees it.
        error_of(rest, 400, 3)
        assert native.headers["grpc-status"] == "3"
    else:
        assert rest.status_code == 200, rest.text
        # A failure would be in the headers. A success is in the trailers, which httpx drops.
        assert (native.status_code, native.headers.get("grpc-status")) == (200, None)
    assert_all_compressions_are_served(stack)


@pytest.mark.parametrize(("name", "status"), [("grpc-encoding", 400), ("content-encoding", 415)])
def test_a_bad_first_value_is_refused_whatever_follows(
    stack: Stack, jobs: httpx.Client, name: str, status: int
) -> None:
    repeated = [(name, "snappy"), (name, "identity")]
    for _ in range(2):
        error_of(jobs.get("/jobs?pageSize=1", headers=repeated), status, 3)

    assert_all_compressions_are_served(stack)


def test_a_client_cannot_pretend_that_its_call_was_rest(jobs: httpx.Client) -> None:
    pretended = [("x-envoy-original-path", "/jobs"), ("grpc-encoding", "nope")]

    answer = jobs.post(LIST, content=ONE_JOB, headers=[*NATIVE, *pretended])

    # As for any native call: a status in the headers, and no JSON.
    assert (answer.status_code, answer.headers.get("grpc-status")) == (200, "3")
