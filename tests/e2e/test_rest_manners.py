"""Headers and status codes of REST answers, and gRPC-Web: real Envoy in front of the real services."""

import base64
import json
import re
from uuid import uuid4

import httpx
import pytest
import uuid_utils

from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, worker_service_pb2
from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.rest import COMPUTE, error_of
from tests.waiting import wait_for

WAITING = {"type": UNWORKED, "payload": {"text": "x" * 200}}
MADE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A Request-Id that the gateway has made."""
HIDDEN = re.compile(r"(grpc|x-envoy)-.*|x-http-status|x-request-id")


def create(jobs: httpx.Client) -> str:
    job_id: str = jobs.post("/jobs", json=WAITING).json()["id"]
    return job_id


# Status codes, Location, ETag.


def test_a_created_job_is_201_and_found_at_its_location(jobs: httpx.Client) -> None:
    answer = jobs.post("/jobs", json=WAITING)

    assert answer.status_code == 201
    assert answer.headers["location"] == f"/jobs/{answer.json()['id']}"
    assert answer.headers["etag"] == 'W/"1"'
    assert jobs.get(answer.headers["location"]).json()["id"] == answer.json()["id"]


def test_a_job_is_sent_again_only_after_it_has_changed(jobs: httpx.Client) -> None:
    url = f"/jobs/{create(jobs)}"
    tag = jobs.get(url).headers["etag"]

    for method in ("GET", "HEAD"):
        unchanged = jobs.request(method, url, headers={"if-none-match": tag})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == tag
        assert "content-length" not in unchanged.headers
    cancelled = jobs.post(f"{url}:cancel", json={})
    changed = jobs.get(url, headers={"if-none-match": tag})

    assert (changed.status_code, changed.json()["status"]) == (200, "cancelled")
    assert changed.headers["etag"] == cancelled.headers["etag"] == f'W/"{changed.json()["revision"]}"' != tag


def test_what_the_state_of_a_job_does_not_allow_is_409(jobs: httpx.Client) -> None:
    url = f"/jobs/{create(jobs)}"
    jobs.post(f"{url}:cancel", json={})

    error_of(jobs.post(f"{url}:cancel", json={}), 409, 9)
    error_of(jobs.post(f"{url}%3Acancel", json={}), 409, 9)
    error_of(jobs.patch(url, json={"status": "completed"}), 409, 9)


def test_a_change_that_was_made_before_says_so(jobs: httpx.Client) -> None:
    url, key = f"/jobs/{create(jobs)}", {"idempotency-key": str(uuid4())}
    for body in ({"status": "processing"}, {"status": "completed", "result": {"n": 1}}):
        first = jobs.patch(url, json=body, headers=key)
        again = jobs.patch(url, json=body, headers=key)

        assert "idempotent-replayed" not in first.headers
        assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
        assert again.json() == first.json()
        assert again.headers["etag"] == first.headers["etag"]


# HEAD.


def test_head_is_get_without_the_body(jobs: httpx.Client, workers: httpx.Client) -> None:
    job = f"/jobs/{create(jobs)}"
    for client, path in ((jobs, job), (jobs, f"{job}?"), (jobs, "/jobs?pageSize=3"), (workers, "/state")):
        head, get = client.head(path), client.get(path, headers={"accept-encoding": "identity"})
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == "application/json"
        if path.startswith(job):
            assert head.headers["content-length"] == get.headers["content-length"]
            assert head.headers["etag"] == get.headers["etag"]


def test_head_of_an_error_has_no_body_either(jobs: httpx.Client, workers: httpx.Client) -> None:
    for client, path, status in (
        (jobs, f"/jobs/{uuid_utils.uuid7()}", 404),
        (jobs, "/jobs/x", 400),
        (jobs, "/nope", 404),
        (jobs, "/jobs?nope=1", 400),
        (workers, "/stop", 405),
    ):
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (status, b"")
    # The connections are still in order.
    assert jobs.get("/jobs?pageSize=1").status_code == workers.get("/state").status_code == 200


# Compression.


def test_large_answers_are_compressed_for_those_who_ask(jobs: httpx.Client) -> None:
    large = jobs.post("/jobs", json={"type": UNWORKED, "payload": {"text": "again " * 1000}}).json()
    url = f"/jobs/{large['id']}"

    packed = jobs.get(url, headers={"accept-encoding": "gzip"})
    plain = jobs.get(url, headers={"accept-encoding": "identity"})
    small = jobs.get(f"/jobs/{create(jobs)}", headers={"accept-encoding": "gzip"})

    assert packed.headers["content-encoding"] == "gzip"
    assert packed.num_bytes_downloaded < len(plain.content) / 3
    # Only the answer of Create has warnings.
    assert large.pop("warnings")
    assert packed.json() == plain.json() == large
    assert packed.headers["etag"] == plain.headers["etag"]
    assert "content-encoding" not in plain.headers
    assert "content-encoding" not in small.headers


# Request-Id.


@pytest.mark.parametrize("sent", ["abc", "A1._~:/+=@-", "x" * 64])
def test_a_well_formed_request_id_is_kept(jobs: httpx.Client, workers: httpx.Client, sent: str) -> None:
    for client, path in ((jobs, "/jobs"), (workers, "/state"), (jobs, "/nope"), (jobs, "/jobs?nope=1")):
        assert client.get(path, headers={"request-id": sent}).headers["request-id"] == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 65, "a b", "a,b", "é", "a\tb", "<a>"])
def test_any_other_request_id_is_replaced(
    jobs: httpx.Client, workers: httpx.Client, sent: str | None
) -> None:
    headers = {} if sent is None else {b"request-id": sent.encode()}
    requests = (
        (jobs, "GET", "/jobs"),
        (jobs, "POST", "/jobs"),
        (workers, "GET", "/state"),
        (jobs, "GET", "/nope"),
        (jobs, "DELETE", "/jobs"),
        (jobs, "GET", "/healthz"),
    )
    made = [
        client.request(verb, path, headers=headers).headers["request-id"] for client, verb, path in requests
    ]

    assert all(map(MADE.fullmatch, made))
    assert len(set(made)) == len(made)


def test_a_failure_is_in_the_log_with_the_id_of_its_request(stack: Stack, jobs: httpx.Client) -> None:
    mine = str(uuid_utils.uuid7())
    answer = jobs.get("/jobs", headers={"request-id": mine, "grpc-timeout": "0S"})
    assert (answer.status_code, answer.headers["request-id"]) == (504, mine)

    log = stack.log_file("gateway")
    wait_for(lambda: f'"request_id":"{mine}"' in log.read_text(), "the gateway logs the failure")


# What REST clients do not see.


def test_no_answer_has_headers_of_grpc_or_envoy(jobs: httpx.Client, workers: httpx.Client) -> None:
    job_id = create(jobs)
    answers = [
        jobs.post("/jobs", json=COMPUTE),
        jobs.get(f"/jobs/{job_id}"),
        jobs.head(f"/jobs/{job_id}"),
        jobs.get(f"/jobs/{uuid_utils.uuid7()}"),
        jobs.post(f"/jobs/{job_id}%3Acancel", json={}),
        jobs.post(f"/jobs/{job_id}:cancel", json={}),
        jobs.get("/nope"),
        jobs.delete("/jobs"),
        jobs.get("/jobs", headers={"grpc-timeout": "zzz"}),
        workers.get("/state"),
        workers.get("/readyz"),
        workers.post("/stop", json={"nope": 1}),
    ]
    assert not [name for answer in answers for name in answer.headers if HIDDEN.fullmatch(name)]


# Health.


def test_both_ports_say_that_they_are_ready(jobs: httpx.Client, workers: httpx.Client) -> None:
    for client in (jobs, workers):
        for path in ("/healthz", "/readyz"):
            assert client.get(path).status_code == client.head(path).status_code == 200
        assert client.get("/healthz").json() == {"status": "ok"}


# gRPC-Web.


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4) + message


def web_call(
    client: httpx.Client, path: str, message: bytes, *, is_text: bool = False
) -> tuple[httpx.Response, list[bytes]]:
    """The answer, and the contents of its frames. The last frame has the trailers."""
    content = framed(message)
    kind = "application/grpc-web-text" if is_text else "application/grpc-web+proto"
    headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1"}
    answer = client.post(path, content=base64.b64encode(content) if is_text else content, headers=headers)
    body = answer.content
    if is_text:
        # Several texts, each with its own padding.
        body = b"".join(map(base64.b64decode, re.findall(rb"[^=]+=*", body)))
    frames = []
    while body:
        size = int.from_bytes(body[1:5])
        frames.append(body[5 : 5 + size])
        body = body[5 + size :]
    return answer, frames


@pytest.mark.parametrize("is_text", [False, True])
def test_both_services_answer_grpc_web(jobs: httpx.Client, workers: httpx.Client, is_text: bool) -> None:
    request = job_service_pb2.CreateRequest(type=UNWORKED)
    request.payload["by"] = "web"
    answer, (message, trailers) = web_call(
        jobs, "/jobs.v1.JobService/Create", request.SerializeToString(), is_text=is_text
    )
    created = job_pb2.Job.FromString(message).id
    _, (state, _) = web_call(workers, "/jobs.v1.WorkerService/GetState", b"", is_text=is_text)

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/grpc-web")
    assert b"grpc-status:0" in trailers
    assert jobs.get(f"/jobs/{created}").json()["payload"] == {"by": "web"}
    assert worker_service_pb2.GetStateResponse.FromString(state).workers


def test_errors_of_grpc_web_have_their_status(jobs: httpx.Client, workers: httpx.Client) -> None:
    broken, _ = web_call(jobs, "/jobs.v1.JobService/Create", b"")
    internal, _ = web_call(jobs, "/jobs.v1.FleetService/GetFleet", b"")
    other_port, _ = web_call(workers, "/jobs.v1.JobService/List", b"")

    assert broken.headers["grpc-status"] == "3"
    assert internal.headers["grpc-status"] == other_port.headers["grpc-status"] == "12"


def test_calls_by_grpc_web_are_no_failures_in_the_log(stack: Stack, jobs: httpx.Client) -> None:
    log = stack.log_file("gateway")
    begin = log.stat().st_size
    web_call(jobs, "/jobs.v1.JobService/List", b"")
    mine = str(uuid_utils.uuid7())
    jobs.get("/jobs", headers={"request-id": mine, "grpc-timeout": "0S"})

    wait_for(lambda: mine in log.read_text(), "the gateway logs a later failure")
    lines = log.read_bytes()[begin:].decode().splitlines()
    paths = [json.loads(line)["path"] for line in lines if line.startswith("{")]
    assert "/jobs.v1.JobService/List" not in paths
