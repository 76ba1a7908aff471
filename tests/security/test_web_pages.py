"""What a web page can make a browser send: any request, with the page's origin or under the page's name."""

import json
import stat
from typing import Any
from urllib.parse import urlsplit

import grpc
import httpx
import pytest

from job_client._gen.jobs.v1 import job_service_pb2, job_service_pb2_grpc
from local_stack.services import admin_socket
from local_stack.stack import Stack
from tests.e2e.rest import COMPUTE, PATIENCE, error_of
from tests.e2e.upstreams import admin_client

JSON = {"content-type": "application/json"}
NATIVE = {"content-type": "application/grpc", "te": "trailers"}
FORM = "application/x-www-form-urlencoded"
LIST = "/jobs.v1.JobService/List"
NOTHING = b"\0\0\0\0\0"
DASHBOARD = {"x-requested-with": "dashboard"}


def reason_of(answer: httpx.Response) -> str:
    [detail] = error_of(answer, 403, 7)["details"]
    assert detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert detail["domain"] == "jobs.v1"
    return str(detail["reason"])


def origin_of(client: httpx.Client) -> str:
    return f"http://{urlsplit(str(client.base_url)).netloc}"


# Origins.


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", "http://"])
def test_a_page_of_another_origin_may_neither_read_nor_change_anything(
    jobs: httpx.Client, workers: httpx.Client, origin: str
) -> None:
    foreign = {"origin": origin}
    for answer in (
        jobs.get("/jobs", headers=foreign),
        jobs.get("/openapi.json", headers=foreign),
        jobs.post("/jobs", json=COMPUTE, headers=foreign),
        # What a form without fields sends.
        workers.post("/stop", headers=foreign | {"content-type": FORM, "content-length": "0"}),
        workers.post("/stop", headers=foreign),
        workers.get("/state", headers=foreign),
        jobs.get("/ui/api/state", headers=foreign | DASHBOARD),
        jobs.options("/jobs", headers=foreign | {"access-control-request-method": "POST"}),
        jobs.post(LIST, content=NOTHING, headers=foreign | {"content-type": "application/grpc-web+proto"}),
    ):
        assert reason_of(answer) == "ORIGIN_NOT_ALLOWED"
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert workers.get("/state").json()["consuming"] is True


def test_a_second_origin_does_not_hide_a_foreign_one(jobs: httpx.Client) -> None:
    own, foreign = ("origin", origin_of(jobs)), ("origin", "https://evil.example")
    for headers in ([own, foreign], [foreign, own]):
        assert reason_of(jobs.get("/jobs", headers=headers)) == "ORIGIN_NOT_ALLOWED"


def test_the_gateways_own_pages_may_call(jobs: httpx.Client, workers: httpx.Client) -> None:
    own = {"origin": origin_of(jobs)}
    # A proxy in front of the gateway may have ended TLS.
    behind_a_proxy = {"origin": origin_of(jobs).replace("http:", "https:")}

    for headers in (own, behind_a_proxy):
        assert jobs.get("/jobs?pageSize=1", headers=headers).status_code == 200
        assert jobs.post("/jobs", json=COMPUTE, headers=headers).status_code == 201
        assert jobs.get("/ui/api/state", headers=headers | DASHBOARD).status_code == 200
    assert workers.get("/state", headers={"origin": origin_of(workers)}).status_code == 200


def test_a_page_may_not_call_natively(jobs: httpx.Client) -> None:
    answer = jobs.post(LIST, content=NOTHING, headers=NATIVE | {"origin": origin_of(jobs)})

    assert answer.headers["grpc-status"] == str(grpc.StatusCode.PERMISSION_DENIED.value[0])
    assert "REST or gRPC-Web" in answer.headers["grpc-message"]


# Host names.


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "a@localhost"],
)
def test_another_host_name_is_refused_on_both_ports(
    jobs: httpx.Client, workers: httpx.Client, host: str
) -> None:
    # The page's origin has the same host name, so to the browser it is the same site.
    rebound = {"host": host, "origin": f"http://{host}"}
    for answer in (
        jobs.get("/jobs", headers={"host": host}),
        jobs.get("/ui/", headers={"host": host}),
        jobs.post("/jobs", json=COMPUTE, headers=rebound),
        jobs.get("/ui/api/state", headers=rebound | DASHBOARD),
        workers.post("/stop", headers=rebound),
    ):
        assert reason_of(answer) == "HOST_NOT_ALLOWED"
    native = jobs.post(LIST, content=NOTHING, headers=NATIVE | {"host": host})
    assert native.headers["grpc-status"] == str(grpc.StatusCode.PERMISSION_DENIED.value[0])
    assert "GATEWAY_HOSTS" in native.headers["grpc-message"]
    assert workers.get("/state").json()["consuming"] is True


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:3000", "127.0.0.1:1", "[::1]", "[::1]:3000", "gateway:3000"]
)
def test_the_machines_own_names_are_served_with_any_port(jobs: httpx.Client, host: str) -> None:
    assert jobs.get("/jobs?pageSize=1", headers={"host": host}).status_code == 200


def test_a_grpc_client_calls_by_the_machines_name(stack: Stack) -> None:
    port = stack.settings.jobs_port
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        stub = job_service_pb2_grpc.JobServiceStub(channel)
        stub.List(job_service_pb2.ListRequest(page_size=1), timeout=PATIENCE)


def test_probes_need_no_name(jobs: httpx.Client, workers: httpx.Client) -> None:
    """A probe of Kubernetes has the pod's address as its host."""
    for client in (jobs, workers):
        for path in ("/healthz", "/readyz"):
            assert client.get(path, headers={"host": "10.1.2.3:3000"}).status_code == 200


# Content types.


@pytest.mark.parametrize(
    "kind",
    ["text/plain", f"{FORM}; charset=utf-8", "multipart/form-data; boundary=x", "application/jsonx", "a"],
)
def test_a_body_of_another_type_than_json_is_415(
    jobs: httpx.Client, workers: httpx.Client, kind: str
) -> None:
    for answer in (
        jobs.post("/jobs", content=json.dumps(COMPUTE), headers={"content-type": kind}),
        workers.post("/stop", content=b"{}", headers={"content-type": kind}),
        # Without a length before the body.
        workers.post("/stop", content=iter([b"{}"]), headers={"content-type": kind}),
    ):
        assert "application/json" in error_of(answer, 415, 3)["message"]
    assert workers.get("/state").json()["consuming"] is True


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/merge-patch+json",
    ],
)
def test_json_has_several_names(jobs: httpx.Client, kind: str) -> None:
    answer = jobs.post("/jobs", content=json.dumps(COMPUTE), headers={"content-type": kind})

    assert answer.status_code == 201


def test_the_type_that_curl_sends_is_taken_as_json_but_not_from_a_browser(jobs: httpx.Client) -> None:
    body = json.dumps(COMPUTE)
    assert jobs.post("/jobs", content=body, headers={"content-type": FORM}).status_code == 201

    for browser in ({"origin": origin_of(jobs)}, {"sec-fetch-site": "none"}):
        answer = jobs.post("/jobs", content=body, headers={"content-type": FORM, **browser})
        error_of(answer, 415, 3)


@pytest.mark.parametrize("headers", [{}, {"content-type": FORM}, {"content-type": ""}])
def test_a_start_without_a_body_needs_no_type(workers: httpx.Client, headers: dict[str, Any]) -> None:
    assert workers.post("/start", headers=headers).status_code == 200


# Envoy's admin pages.


def test_the_admin_pages_are_on_a_socket_of_this_user(stack: Stack) -> None:
    with admin_client(stack) as admin:
        ports = {
            each["local_address"]["socket_address"]["port_value"]
            for each in admin.get("/listeners", params={"format": "json"}).json()["listener_statuses"]
        }

    assert ports == {stack.settings.jobs_port, stack.settings.workers_port}
    path = admin_socket(stack.settings)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
