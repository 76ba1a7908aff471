"""What clients see at the gateway: real Envoy in front of the real services."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import uuid_utils
from grpc_health.v1 import health_pb2, health_pb2_grpc

from job_client._gen.jobs.v1 import (
    fleet_service_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    worker_service_pb2,
    worker_service_pb2_grpc,
)
from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.rest import COMPUTE, PATIENCE, error_of

MIB = 1024 * 1024
JSON = {"content-type": "application/json"}
FLEET_SERVICE = fleet_service_pb2.DESCRIPTOR.services_by_name["FleetService"]
FLEET_CALLS = [f"/{FLEET_SERVICE.full_name}/{method.name}" for method in FLEET_SERVICE.methods]


@pytest.fixture
def jobs_channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.endpoints.jobs_address) as channel:
        yield channel


@pytest.fixture
def workers_channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.endpoints.workers_address) as channel:
        yield channel


def body_of_size(size: int) -> bytes:
    frame = json.dumps({"type": "compute", "payload": {"input": ""}})
    return frame.replace('""', f'"{"x" * (size - len(frame))}"').encode()


def grpcurl(*arguments: str) -> str:
    program = Path(sys.executable).parent / "grpcurl"
    return subprocess.run(
        [program, "-plaintext", *arguments], capture_output=True, text=True, check=True
    ).stdout


def services(address: str) -> set[str]:
    """The names that reflection lists."""
    return set(grpcurl(address, "list").split())


# Errors of the servers.


def test_an_unknown_job_is_404_with_its_reason(jobs: httpx.Client) -> None:
    body = error_of(jobs.get(f"/jobs/{uuid_utils.uuid7()}"), 404, 5)

    assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert body["details"][0]["domain"] == "jobs.v1"


def test_a_broken_rule_is_400_and_names_the_field(jobs: httpx.Client) -> None:
    body = error_of(jobs.post("/jobs", json={"type": "No Such", "payload": {}}), 400, 3)

    assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert body["details"][0]["fieldViolations"][0]["field"] == "type"


def test_a_taken_id_is_409(jobs: httpx.Client) -> None:
    job_id = str(uuid_utils.uuid7())
    assert jobs.post("/jobs", json=COMPUTE | {"id": job_id}).status_code == 201

    error_of(
        jobs.post("/jobs", json={"id": job_id, "type": "compute", "payload": {"input": "other"}}), 409, 6
    )


def test_an_update_that_is_not_allowed_is_409(jobs: httpx.Client) -> None:
    job_id = jobs.post("/jobs", json=COMPUTE).json()["id"]

    # It is not allowed from queued, nor while a worker holds the job, nor after its end.
    error_of(jobs.patch(f"/jobs/{job_id}", json={"status": "failed"}), 409, 9)


# Errors of the gateway itself.


@pytest.mark.parametrize("body", [b"{bad", b"[]", b'{"type": 5}', b'{"payload": [1]}'])
def test_a_body_that_does_not_fit_is_400(jobs: httpx.Client, body: bytes) -> None:
    error_of(jobs.post("/jobs", content=body, headers=JSON), 400, 3)


@pytest.mark.parametrize("query", ["nope=1", "status=bogus", "pageSize=x", "createTimeFrom=yesterday"])
def test_a_query_that_does_not_fit_is_400(jobs: httpx.Client, query: str) -> None:
    error_of(jobs.get(f"/jobs?{query}"), 400, 3)


def test_an_id_in_the_body_that_contradicts_the_path_is_400(jobs: httpx.Client) -> None:
    body = {"id": str(uuid_utils.uuid7()), "status": "processing"}

    error_of(jobs.patch(f"/jobs/{uuid_utils.uuid7()}", json=body), 400, 3)


def test_a_header_with_an_underscore_is_400(jobs: httpx.Client) -> None:
    error_of(jobs.get("/jobs", headers={"idempotency_key": "k"}), 400, 3)


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/ui/nope",
        "/ui/js/../../envoy.yaml",
        "/jobs/a/b",
        "/jobs/a%2Fb",
        "/jobs/a:foo",
        "/start",
        "/jobs.v1.JobService/Get",
    ],
)
def test_an_unknown_path_is_404(jobs: httpx.Client, path: str) -> None:
    error_of(jobs.get(path), 404, 5)


@pytest.mark.parametrize("call", FLEET_CALLS)
def test_fleet_service_is_not_offered_as_rest(jobs: httpx.Client, workers: httpx.Client, call: str) -> None:
    for client in (jobs, workers):
        error_of(client.post(call, json={}), 404, 5)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/jobs", "GET, HEAD, POST"),
        ("PUT", "/jobs", "GET, HEAD, POST"),
        ("PUT", "/jobs/0", "DELETE, GET, HEAD, PATCH"),
        ("POST", "/jobs/0", "DELETE, GET, HEAD, PATCH"),
        ("OPTIONS", "/jobs", "GET, HEAD, POST"),
        ("OPTIONS", "/jobs/0", "DELETE, GET, HEAD, PATCH"),
        ("DELETE", "/jobs:batchGet", "GET, HEAD, POST"),
        ("GET", "/jobs/0:cancel", "POST"),
        ("POST", "/jobs/0%3awatch", "GET, HEAD"),
        ("GET", "/operations/0%3Acancel", "POST"),
    ],
)
def test_a_wrong_method_on_jobs_is_405(jobs: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = jobs.request(method, path)

    error_of(answer, 405, 12)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/start", "POST"),
        ("DELETE", "/stop", "POST"),
        ("OPTIONS", "/stop", "POST"),
        ("POST", "/state", "GET, HEAD"),
    ],
)
def test_a_wrong_method_on_workers_is_405(
    workers: httpx.Client, method: str, path: str, allowed: str
) -> None:
    answer = workers.request(method, path)

    error_of(answer, 405, 12)
    assert answer.headers["allow"] == allowed


def test_a_wrong_method_with_a_grpc_content_type_is_unimplemented(
    jobs: httpx.Client, workers: httpx.Client
) -> None:
    native = {"content-type": "application/grpc"}
    for answer in (jobs.patch("/jobs", headers=native), workers.get("/start", headers=native)):
        assert answer.headers["grpc-status"] == "12"


# Sizes.


def test_a_body_of_4_mib_reaches_the_server_which_names_the_field(jobs: httpx.Client) -> None:
    body = error_of(jobs.post("/jobs", content=body_of_size(4 * MIB), headers=JSON), 400, 3)

    assert body["details"][0]["fieldViolations"][0]["field"] == "payload"


def test_a_body_above_4_mib_is_413(jobs: httpx.Client, workers: httpx.Client) -> None:
    too_large = body_of_size(4 * MIB + 1)

    error_of(jobs.post("/jobs", content=too_large, headers=JSON), 413, 3)
    error_of(workers.post("/start", content=too_large, headers=JSON), 413, 3)


def test_a_payload_of_1_mib_that_json_makes_six_times_larger_can_be_read(
    jobs: httpx.Client, jobs_channel: grpc.Channel
) -> None:
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["input"] = "\x01" * (MIB - 100)
    job = job_service_pb2_grpc.JobServiceStub(jobs_channel).Create(request)

    answer = jobs.get(f"/jobs/{job.id}")

    assert answer.status_code == 200
    assert len(answer.content) > 6 * (MIB - 100)
    assert answer.json()["payload"]["input"] == request.payload["input"]


@pytest.mark.slow
def test_jobs_that_grow_as_protobuf_are_listed_in_pages_that_every_client_accepts(
    jobs: httpx.Client, jobs_channel: grpc.Channel
) -> None:
    label = str(uuid_utils.uuid7())
    # All jobs together are less than 4 MiB in the database, but more as protobuf.
    payload = {"text": "x" * 65_500, "flags": {str(number): True for number in range(600)}}
    job = {"type": UNWORKED, "payload": payload, "labels": {"run": label}}
    batches = [jobs.post("/jobs:batchCreate", json={"requests": [job] * 30}).json() for _ in range(2)]
    ids = [outcome["job"]["id"] for batch in batches for outcome in batch["outcomes"]]
    wanted = job_service_pb2.ListRequest(labels=[f"run={label}"], page_size=60)
    stub = job_service_pb2_grpc.JobServiceStub(jobs_channel)

    first = stub.List(wanted)
    wanted.page_token = first.next_page_token
    rest = stub.List(wanted)
    assert sorted(job.id for page in (first, rest) for job in page.jobs) == sorted(ids)
    assert rest.next_page_token == ""
    shown = jobs.get("/jobs", params={"labels": f"run={label}", "pageSize": 60}).json()["jobs"]
    assert [job["id"] for job in shown] == [job.id for job in first.jobs]

    with pytest.raises(grpc.RpcError) as failure:
        stub.BatchGet(job_service_pb2.BatchGetRequest(ids=ids))
    assert failure.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "request fewer" in (failure.value.details() or "")
    assert len(stub.BatchGet(job_service_pb2.BatchGetRequest(ids=ids[:40])).jobs) == 40
    error_of(jobs.post("/jobs:batchGet", json={"ids": ids}), 429, 8)


@pytest.mark.slow
def test_a_page_of_what_json_makes_six_times_larger_can_be_read(
    jobs: httpx.Client, jobs_channel: grpc.Channel
) -> None:
    label = str(uuid_utils.uuid7())
    request = job_service_pb2.CreateRequest(type=UNWORKED, labels={"run": label})
    request.payload["input"] = "\x01" * (MIB - 100)
    for _ in range(4):
        job_service_pb2_grpc.JobServiceStub(jobs_channel).Create(request)

    answer = jobs.get("/jobs", params={"labels": f"run={label}"})

    assert answer.status_code == 200
    assert len(answer.json()["jobs"]) == 3
    assert len(answer.content) > 18 * (MIB - 100)
    assert answer.json()["nextPageToken"]


# REST as existing clients know it.


def test_fields_without_a_value_are_printed_too(jobs: httpx.Client) -> None:
    created = jobs.post("/jobs", json=COMPUTE).json()
    nothing = jobs.get("/jobs?type=compute&createTimeBefore=2000-01-01T00:00:00Z").json()

    assert created["labels"] == {}
    assert (created["status"], created["attempt"], created["workerId"]) == ("queued", 0, "")
    assert nothing == {"jobs": [], "nextPageToken": ""}


@pytest.mark.parametrize("name", ["createTimeFrom", "create_time_from"])
def test_times_and_repeated_labels_can_be_query_parameters(jobs: httpx.Client, name: str) -> None:
    label = str(uuid_utils.uuid7())
    created = jobs.post("/jobs", json=COMPUTE | {"labels": {"run": label, "kind": "query"}}).json()
    labels = [("labels", f"run={label}"), ("labels", "kind=query")]

    def found(moment: str) -> list[str]:
        answer = jobs.get("/jobs", params=[(name, moment), *labels])
        return [job["id"] for job in answer.json()["jobs"]]

    assert found(created["createTime"]) == [created["id"]]
    assert found("2100-01-01T00:00:00Z") == []


def test_the_idempotency_key_header_reaches_the_server(jobs: httpx.Client) -> None:
    key = {"idempotency-key": str(uuid_utils.uuid7())}
    first = jobs.post("/jobs", json=COMPUTE, headers=key)
    again = jobs.post("/jobs", json=COMPUTE, headers=key)

    assert first.status_code == again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert first.json()["id"] == again.json()["id"]
    error_of(jobs.post("/jobs", json={"type": "compute", "payload": {}}, headers=key), 409, 6)


@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_start_needs_neither_body_nor_content_type(workers: httpx.Client, body: bytes | None) -> None:
    answer = workers.post("/start", content=body)

    assert answer.status_code == 200
    assert answer.json()["consuming"] is True
    assert workers.get("/state").json()["consuming"] is True


def test_web_pages_of_other_origins_may_not_call_by_default(jobs: httpx.Client) -> None:
    origin = {"origin": "https://example.org"}
    preflight = jobs.options("/jobs", headers=origin | {"access-control-request-method": "POST"})

    for answer in (preflight, jobs.get("/jobs", headers=origin)):
        error_of(answer, 403, 7)
        assert not [name for name in answer.headers if name.startswith("access-control-")]


# Native gRPC.


def test_a_job_is_created_and_read_by_native_grpc(jobs_channel: grpc.Channel) -> None:
    stub = job_service_pb2_grpc.JobServiceStub(jobs_channel)
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["input"] = "native"

    created = stub.Create(request)
    read = stub.Get(job_service_pb2.GetRequest(id=created.id))

    assert created.status == job_pb2.Job.queued
    assert read.payload == request.payload


def test_workers_are_listed_by_native_grpc(workers_channel: grpc.Channel) -> None:
    stub = worker_service_pb2_grpc.WorkerServiceStub(workers_channel)

    assert (stub.GetState(worker_service_pb2.GetStateRequest())).workers


def test_reflection_names_the_services_of_each_port(stack: Stack) -> None:
    assert {"jobs.v1.JobService", "jobs.v1.FleetService"} <= services(stack.address("api_server"))
    assert "jobs.v1.JobService" in services(stack.endpoints.jobs_address)
    assert "jobs.v1.WorkerService" in services(stack.endpoints.workers_address)


def test_grpcurl_describes_a_call_at_each_port(stack: Stack) -> None:
    for address, call in (
        (stack.endpoints.jobs_address, "jobs.v1.JobService.Create"),
        (stack.endpoints.workers_address, "jobs.v1.WorkerService.Stop"),
    ):
        assert f"{call} is a method:" in grpcurl(address, "describe", call)


def test_health_can_be_checked_and_watched(jobs_channel: grpc.Channel, workers_channel: grpc.Channel) -> None:
    for channel in (jobs_channel, workers_channel):
        stub = health_pb2_grpc.HealthStub(channel)
        asked = stub.Check(health_pb2.HealthCheckRequest())
        watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        watched = next(watch)
        watch.cancel()

        assert asked.status == watched.status == health_pb2.HealthCheckResponse.SERVING


def test_fleet_service_is_unimplemented_at_both_ports(
    jobs_channel: grpc.Channel, workers_channel: grpc.Channel
) -> None:
    for channel in (jobs_channel, workers_channel):
        for call in FLEET_CALLS:
            send: Any = channel.unary_unary(call)
            with pytest.raises(grpc.RpcError) as failure:
                send(b"", timeout=PATIENCE)
            assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_service_of_the_other_port_is_unimplemented(jobs_channel: grpc.Channel) -> None:
    stub = worker_service_pb2_grpc.WorkerServiceStub(jobs_channel)

    with pytest.raises(grpc.RpcError) as failure:
        stub.GetState(worker_service_pb2.GetStateRequest())
    assert failure.value.code() == grpc.StatusCode.UNIMPLEMENTED
