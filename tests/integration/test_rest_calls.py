"""The twin of a service, as the gateway calls it for REST: a real server, a real client."""

import json
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import ANY, Mock
from uuid import UUID

import grpc
import pytest
from google.api.httpbody_pb2 import HttpBody
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from structlog.contextvars import get_contextvars

from api_server.domain.errors import JobNotFound
from contract_runtime.errors import ServiceError
from contract_runtime.rest import BODY_NUMBER
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from service_runtime import checked_calls
from service_runtime.rest_calls import LARGE
from service_runtime.rest_context import rest_of
from tests.fuzz.wire import field
from tests.integration.grpc_service import adding, serving

JOB_ID = "0198f0a0-0000-7000-8000-000000000001"
OTHER_ID = "0198f0a0-0000-7000-8000-000000000002"


seen: list[dict[str, Any]] = []
"""The fields that log lines of the calls with a bug have."""


class Conflict(ServiceError):
    """The job is in another state."""

    code = 9
    reason = "ILLEGAL_TRANSITION"


class Servicer(job_service_pb2_grpc.JobServiceServicer):
    """Answers with what it was asked for."""

    async def Create(self, request: job_service_pb2.CreateRequest, context: Any) -> job_pb2.Job:  # noqa: N802 - gRPC's name
        if rest := rest_of(context):
            rest.status, rest.headers["location"] = 201, f"/jobs/{request.id}"
        return job_pb2.Job(id=request.id, type=request.type, payload=request.payload)

    async def Cancel(self, request: job_service_pb2.CancelRequest, _context: Any) -> job_pb2.Job:  # noqa: N802 - gRPC's name
        if request.reason == "conflict":
            raise Conflict("the job has ended")
        if request.reason == "bug":
            seen.append(get_contextvars())
            raise RuntimeError
        if request.reason == "absent":
            raise JobNotFound(UUID(JOB_ID))
        return job_pb2.Job(id=request.id, error=job_pb2.JobError(message=request.reason))

    async def Get(self, request: job_service_pb2.GetRequest, _context: Any) -> job_pb2.Job:  # noqa: N802 - gRPC's name
        return job_pb2.Job(id=request.id)


@pytest.fixture
async def channel() -> AsyncIterator[Any]:
    servicer: Any = Servicer  # the other methods are missing on purpose
    async with (
        serving(adding(servicer()), deadline=5) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield channel


def with_body(body: Any, *parts: bytes) -> bytes:
    """A request as Envoy makes it: the fields of path and query, and the body."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    content = HttpBody(content_type="application/json", data=text).SerializeToString()
    return field(BODY_NUMBER, b"") + b"".join(parts) + field(BODY_NUMBER, content)


async def call(channel: Any, method: str, raw: bytes) -> tuple[job_pb2.Job, dict[str, Any]]:
    answering = channel.unary_unary(f"/jobs.v1.rest.JobService/{method}")(raw)
    return job_pb2.Job.FromString(await answering), dict(await answering.initial_metadata())


async def refusal(channel: Any, method: str, raw: bytes) -> tuple[str, str]:
    """Field and rule of the only violation."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, method, raw)
    details = error_details_pb2.BadRequest()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert rpc_status.from_call(caught.value).details[0].Unpack(details)
    [violation] = details.field_violations
    return violation.field, violation.reason


async def test_a_body_becomes_the_request_and_the_answer_has_status_and_headers(channel: Any) -> None:
    body = {"id": JOB_ID, "type": "compute", "payload": {"a": 1}}
    job, headers = await call(channel, "Create", with_body(body))

    assert (job.id, job.type, job.payload["a"]) == (JOB_ID, "compute", 1)
    assert (headers["x-http-status"], headers["location"]) == ("201", f"/jobs/{JOB_ID}")


async def test_a_native_call_has_no_headers_and_reads_no_body(channel: Any) -> None:
    answering = channel.unary_unary("/jobs.v1.JobService/Create")(
        with_body({"type": "data"}, field(2, b"compute"))
    )
    job = job_pb2.Job.FromString(await answering)

    assert job.type == "compute"
    assert "x-http-status" not in dict(await answering.initial_metadata())


@pytest.mark.parametrize("size", [LARGE - 100, LARGE + 100])
async def test_bodies_of_any_size_are_read(channel: Any, size: int) -> None:
    job, _ = await call(channel, "Create", with_body({"type": "compute", "payload": {"a": "x" * size}}))

    assert job.payload["a"] == "x" * size


async def test_path_and_query_are_joined_with_the_body(channel: Any) -> None:
    path = field(1, JOB_ID.encode())
    for body in (b"", b"{}", {"reason": "r"}, {"id": JOB_ID, "reason": "r"}):
        job, _ = await call(channel, "Cancel", with_body(body, path))
        assert job.id == JOB_ID
        assert job.error.message == ("r" if isinstance(body, dict) else "")

    assert (await call(channel, "Get", path))[0].id == JOB_ID


async def test_a_contradiction_between_path_and_body_is_refused(channel: Any) -> None:
    raw = with_body({"id": OTHER_ID}, field(1, JOB_ID.encode()))

    assert await refusal(channel, "Cancel", raw) == ("id", "field.once")


async def test_a_parameter_that_occurs_twice_is_refused(channel: Any) -> None:
    twice = field(1, JOB_ID.encode()) + field(1, JOB_ID.encode())

    assert await refusal(channel, "Get", twice) == ("id", "field.once")
    assert await refusal(channel, "Cancel", with_body({}, twice)) == ("id", "field.once")


@pytest.mark.parametrize(
    ("body", "field_and_rule"),
    [
        ({"typo": 1}, ("typo", "field.known")),
        (b'{"type": "compute", "type": "data"}', ("type", "field.once")),
        (b"{", ("", "body.json")),
        (b"[]", ("", "body.json")),
        ({"type": "Not A Type", "payload": {}}, ("type", "string.pattern")),
    ],
)
async def test_a_body_that_does_not_fit_is_an_invalid_argument(
    channel: Any, body: Any, field_and_rule: tuple[str, str]
) -> None:
    assert await refusal(channel, "Create", with_body(body)) == field_and_rule


@pytest.mark.parametrize("raw", [b"\xff\xff", field(BODY_NUMBER, b"\xff")])
async def test_broken_bytes_are_an_invalid_argument(channel: Any, raw: bytes) -> None:
    assert await refusal(channel, "Cancel", raw) == ("", "decode")


@pytest.mark.parametrize(("reason", "status"), [("conflict", "409"), ("absent", None)])
async def test_only_a_conflict_of_states_has_a_status_of_its_own(
    channel: Any, reason: str, status: str | None
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(channel, "Cancel", with_body({"reason": reason}, field(1, JOB_ID.encode())))

    assert dict(caught.value.trailing_metadata() or ()).get("x-http-status") == status


async def test_log_lines_have_the_id_of_the_request(channel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Mock()
    monkeypatch.setattr(checked_calls, "log", log)
    raw = with_body({"reason": "bug"}, field(1, JOB_ID.encode()))
    for sent in ("abc", "x" * 100, ""):
        method = channel.unary_unary("/jobs.v1.rest.JobService/Cancel")
        with pytest.raises(grpc.aio.AioRpcError):
            await method(raw, metadata=(("request-id", sent),))
    with pytest.raises(grpc.aio.AioRpcError):
        await channel.unary_unary("/jobs.v1.rest.JobService/Cancel")(raw)

    expected = [{"request_id": "abc"}, {"request_id": "x" * 64}, {"request_id": ""}, {}]
    failed = {"method": "jobs.v1.rest.JobService/Cancel", "exc_info": ANY}
    assert [each.kwargs for each in log.error.call_args_list] == [failed | each for each in expected]
    assert seen == expected
