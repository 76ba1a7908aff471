"""Unusual REST clients: old HTTP, compressed bodies, escaped paths, JSON with a key twice."""

import gzip
import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest
import uuid_utils

from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.rest import COMPUTE, PATIENCE, error_of

BODY = json.dumps(COMPUTE).encode()
WAITING = {"type": UNWORKED, "payload": {}}


def answer_to(url: str, request: bytes) -> bytes:
    """Everything that the gateway sends until it closes the connection."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


# HTTP/1.0: nginx uses it for its upstreams by default, and so does `ab`.


@pytest.mark.parametrize("host", [b"", b"Host: localhost\r\n"])
def test_http_1_0_is_served_on_both_ports(stack: Stack, host: bytes) -> None:
    post = b"POST /jobs HTTP/1.0\r\n%sContent-Length: %d\r\n\r\n%s" % (host, len(BODY), BODY)
    head, _, body = answer_to(stack.endpoints.jobs_url, post).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 201 ")
    assert json.loads(body)["status"] == "queued"

    state = answer_to(stack.endpoints.workers_url, b"GET /state HTTP/1.0\r\n%s\r\n" % host)
    assert state.startswith(b"HTTP/1.0 200 ")


# Compressed bodies.


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_a_compressed_body_is_415_and_the_header_is_named(
    jobs: httpx.Client, workers: httpx.Client, encoding: str
) -> None:
    headers = {"content-encoding": encoding}
    packed = gzip.compress(BODY)
    # With and without a content type. An empty body would stop the whole fleet.
    for answer in (
        jobs.post("/jobs", content=packed, headers={**headers, "content-type": "application/json"}),
        workers.post("/stop", content=packed, headers=headers),
    ):
        assert "content-encoding" in error_of(answer, 415, 3)["message"]
        assert answer.headers["accept-encoding"] == "identity"
    assert workers.get("/state").json()["consuming"] is True


def test_a_body_with_content_encoding_identity_is_accepted(jobs: httpx.Client) -> None:
    assert jobs.post("/jobs", content=BODY, headers={"content-encoding": "identity"}).status_code == 201


def test_a_byte_order_mark_is_400_and_the_message_names_it(jobs: httpx.Client) -> None:
    body = error_of(jobs.post("/jobs", content=b"\xef\xbb\xbf" + BODY), 400, 3)

    assert "byte order mark" in body["message"]


# Escaped colons.


@pytest.mark.parametrize("colon", ["%3A", "%3a"])
def test_an_escaped_colon_is_a_colon(jobs: httpx.Client, colon: str) -> None:
    batch = jobs.post(f"/jobs{colon}batchCreate", json={"requests": [WAITING, WAITING]}).json()
    ids = [outcome["job"]["id"] for outcome in batch["outcomes"]]

    read = jobs.get(f"/jobs{colon}batchGet?ids={ids[0]}&ids={ids[1]}").json()
    cancelled = jobs.post(f"/jobs/{ids[0]}{colon}cancel", json={"reason": "a%3Ab"}).json()
    retried = jobs.post(f"/jobs/{ids[0]}{colon}retry", json={}).json()

    assert [job["id"] for job in read["jobs"]] == ids
    assert (cancelled["status"], cancelled["error"]["message"]) == ("cancelled", "a%3Ab")
    assert retried["status"] == "queued"


def test_an_escaped_colon_before_an_unknown_word_is_404(jobs: httpx.Client) -> None:
    error_of(jobs.post(f"/jobs/{uuid_utils.uuid7()}%3Aexplode", json={}), 404, 5)


# A field that occurs twice in a request.


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"type": "compute", "payload": {"input": "a"}, "payload": {"input": "b"}}', "payload"),
        ('{"type": "data", "type": "compute", "payload": {"input": "a"}}', "type"),
        (
            '{"type": "compute", "payload": {}, "retryPolicy": {"maxAttempts": 1, "max_attempts": 2}}',
            "retry_policy.max_attempts",
        ),
    ],
)
def test_a_field_that_occurs_twice_in_a_body_is_400_and_named(
    jobs: httpx.Client, body: str, field: str
) -> None:
    error = error_of(jobs.post("/jobs", content=body), 400, 3)

    assert error["details"][0]["fieldViolations"][0]["field"] == field


def test_a_field_that_occurs_twice_in_one_item_of_a_batch_is_400_and_named(jobs: httpx.Client) -> None:
    item = '{"type": "compute", "payload": {}}'
    twice = '{"type": "compute", "payload": {}, "payload": {}}'
    error = error_of(jobs.post("/jobs:batchCreate", content=f'{{"requests": [{item}, {twice}]}}'), 400, 3)

    assert error["details"][0]["fieldViolations"][0]["field"] == "requests[1].payload"


@pytest.mark.parametrize(
    ("inner", "path"),
    [
        ('"a": 1, "a": 2', "payload.a"),
        ('"deep": [{"a": 1, "a": 2}]', "payload.deep[0].a"),
        ('"n": 9007199254740993', "payload.n"),
    ],
)
def test_a_payload_with_a_key_twice_or_a_number_that_is_not_exact_is_400_and_named(
    jobs: httpx.Client, inner: str, path: str
) -> None:
    body = f'{{"type": "compute", "payload": {{{inner}}}}}'
    error = error_of(jobs.post("/jobs", content=body), 400, 3)

    assert error["details"][0]["fieldViolations"][0]["field"] == path


# A field that the contract does not have.


def test_an_unknown_field_is_400_and_named(jobs: httpx.Client) -> None:
    for body, field in (
        (COMPUTE | {"lables": {}}, "lables"),
        (COMPUTE | {"retryPolicy": {"maxAttemps": 1}}, "retry_policy.maxAttemps"),
    ):
        error = error_of(jobs.post("/jobs", json=body), 400, 3)
        assert error["details"][0]["fieldViolations"][0]["field"] == field


@pytest.mark.parametrize(
    "body", [b'{"workr": "x"}', b'{"all": false}', b'{"all": true, "x": 1}', b"[]", b"x"]
)
def test_a_stop_with_a_body_that_does_not_fit_stops_nothing(workers: httpx.Client, body: bytes) -> None:
    error_of(workers.post("/stop", content=body), 400, 3)

    state = workers.get("/state").json()
    assert (state["consuming"], state["stoppedWorkers"], state["stoppedTypes"]) == (True, [], [])


@pytest.mark.parametrize("body", [b"", b"{}", b'{"all": true}'])
def test_a_stop_of_everything_says_so_or_says_nothing(workers: httpx.Client, body: bytes) -> None:
    try:
        assert workers.post("/stop", content=body).json()["consuming"] is False
    finally:
        assert workers.post("/start", content=body).json()["consuming"] is True


def test_a_parameter_that_occurs_twice_in_a_query_is_400(jobs: httpx.Client) -> None:
    error = error_of(jobs.get("/jobs?pageSize=1&pageSize=2"), 400, 3)

    assert error["details"][0]["fieldViolations"][0]["field"] == "page_size"


def test_the_id_of_the_path_may_also_be_in_the_body(jobs: httpx.Client) -> None:
    job_id = jobs.post("/jobs", json=WAITING).json()["id"]

    answer = jobs.patch(f"/jobs/{job_id}", json={"id": job_id, "status": "processing"})

    assert answer.json()["status"] == "processing"
