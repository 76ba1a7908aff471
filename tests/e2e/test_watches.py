"""Watches through the real gateway: server-sent events for REST, a stream for gRPC."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
import pytest

from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc, log_pb2
from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, jobs_client
from tests.e2e.rest import error_of
from tests.gate import Gate

BEYOND_ALL_TIME_OUTS = 3.0
"""Seconds. The heartbeat of the stack's API servers comes more often."""
PATIENCE = 60.0
"""Seconds that a test gives to a job that takes a moment."""
UNKNOWN = "0198f0a0-0000-7000-8000-000000000001"


@pytest.fixture
def stub(stack: Stack) -> Any:
    with grpc.insecure_channel(stack.endpoints.jobs_address) as channel:
        yield job_service_pb2_grpc.JobServiceStub(channel)


class Events:
    """The server-sent events of a watch."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.iter_lines()
        self.token = ""

    def next(self) -> dict[str, Any]:
        """The next response but heartbeats."""
        while "heartbeat" in (event := self._next()):
            pass
        return event

    def _next(self) -> dict[str, Any]:
        for line in self._lines:
            if line:
                assert line.startswith("data: "), line
                event: dict[str, Any] = json.loads(line.removeprefix("data: "))
                self.token = event.get("resumeToken", "")
                return event
        raise AssertionError("the stream has ended")

    def until_heartbeat(self) -> None:
        while "heartbeat" not in self._next():
            pass

    def begin(self) -> list[dict[str, Any]]:
        """The present jobs."""
        found = []
        while "started" not in (event := self.next()):
            found.append(event["job"])
        return found


@contextmanager
def watching(client: httpx.Client, path: str, **parameters: Any) -> Iterator[Events]:
    with client.stream("GET", path, params=parameters) as answer:
        if not answer.is_success:
            answer.read()
        yield Events(answer)


def test_a_watch_of_a_job_tells_its_life_and_ends(stack: Stack, client: httpx.Client, gate: Gate) -> None:
    job = create(client, "gated", {**gate.payload, "progress": [50, "half"]})
    with jobs_client(stack) as other, watching(other, f"/jobs/{job['id']}:watch") as events:
        assert events.answer.headers["content-type"].startswith("text/event-stream")
        states = events.begin()
        while not states or "progress" not in states[-1]:
            states.append(events.next()["job"])
        gate.open()
        while states[-1]["status"] != "completed":
            states.append(events.next()["job"])
        end = events.next()

    revisions = [state["revision"] for state in states]
    assert revisions == list(range(revisions[0], revisions[0] + len(states)))
    assert end["ended"]["reason"] == "JOB_ENDED"
    assert states[-1]["result"] == {"attempt": 1}


def test_a_watch_with_a_filter_is_resumed_without_a_gap(stack: Stack, client: httpx.Client) -> None:
    label = f"watch={time.time_ns()}"
    labels = dict([label.split("=")])
    wanted = {"labels": label, "type": [UNWORKED, "compute"], "status": ["queued", "cancelled"]}
    first = create(client, UNWORKED, {}, labels=labels)
    with jobs_client(stack) as other, watching(other, "/jobs:watch", **wanted) as events:
        assert [each["id"] for each in events.begin()] == [first["id"]]
        second = create(client, UNWORKED, {}, labels=labels)
        assert events.next()["job"]["id"] == second["id"]
        token = events.token
    client.post(f"/jobs/{first['id']}:cancel", json={})
    third = create(client, UNWORKED, {}, labels=labels)

    with jobs_client(stack) as other, watching(other, "/jobs:watch", resumeToken=token, **wanted) as events:
        missed = [(each["id"], each["status"]) for each in events.begin()]

    assert missed == [(first["id"], "cancelled"), (third["id"], "queued")]


def test_a_watch_lasts_longer_than_any_call(stack: Stack, client: httpx.Client) -> None:
    job = create(client, UNWORKED, {})
    with jobs_client(stack) as other, watching(other, f"/jobs/{job['id']}:watch") as events:
        events.begin()
        until = time.monotonic() + BEYOND_ALL_TIME_OUTS
        while time.monotonic() < until:
            events.until_heartbeat()
        client.post(f"/jobs/{job['id']}:cancel", json={})
        assert events.next()["job"]["status"] == "cancelled"


def test_a_grpc_client_watches_too(stub: Any, client: httpx.Client) -> None:
    job = create(client, "compute", {"input": "watched"})
    responses = list(stub.Watch(job_service_pb2.WatchRequest(id=job["id"]), timeout=PATIENCE))

    assert responses[-1].ended.reason == "JOB_ENDED"
    assert responses[-2 if responses[-2].HasField("job") else -3].job.status == job_pb2.Job.completed


def entries_of(event: dict[str, Any]) -> list[tuple[int, str]]:
    return [(entry["number"], entry["message"]) for entry in event["log"]["entries"]]


def test_a_watch_with_the_log_tells_what_the_handler_logs(
    stack: Stack, client: httpx.Client, gate: Gate
) -> None:
    job = create(client, "gated", {**gate.payload, "say": "hello"})
    lines = [(1, "logged hello"), (2, "printed hello")]
    found: list[tuple[int, str]] = []
    with (
        jobs_client(stack) as other,
        watching(other, f"/jobs/{job['id']}:watch", includeLog="true") as events,
    ):
        while found != lines:
            event = events.next()
            found += entries_of(event) if "log" in event else []
        token = events.token
    gate.open()
    with (
        jobs_client(stack) as other,
        watching(other, f"/jobs/{job['id']}:watch", includeLog="true", resumeToken=token) as events,
    ):
        later = []
        while "ended" not in (event := events.next()):
            later.append(event)
    assert not any("log" in each for each in later)
    assert any(each.get("job", {}).get("status") == "completed" for each in later)


def test_a_watch_of_a_job_that_has_failed_shows_the_trace(stub: Any, client: httpx.Client) -> None:
    job = create(client, "broken", {}, retryPolicy={"maxAttempts": 1})
    responses = list(
        stub.Watch(job_service_pb2.WatchRequest(id=job["id"], include_log=True), timeout=PATIENCE)
    )
    kinds = [[entry.kind for entry in each.log.entries] for each in responses if each.HasField("log")]
    assert kinds == [[log_pb2.LogEntry.Kind.trace]]
    assert responses[-1].ended.reason == "JOB_ENDED"


def cancelling(client: httpx.Client, count: int) -> dict[str, Any]:
    """An operation that cancels so many jobs."""
    label = f"watch={time.time_ns()}"
    for _ in range(count):
        create(client, UNWORKED, {}, labels=dict([label.split("=")]))
    answer = client.post("/jobs:bulkCancel", json={"filter": {"labels": [label]}})
    assert answer.is_success, answer.text
    operation: dict[str, Any] = answer.json()
    return operation


def test_a_watch_of_an_operation_tells_its_progress_and_ends(stack: Stack, client: httpx.Client) -> None:
    operation = cancelling(client, 3)
    states: list[dict[str, Any]] = []
    with jobs_client(stack) as other, watching(other, f"/operations/{operation['id']}:watch") as events:
        assert events.answer.headers["content-type"].startswith("text/event-stream")
        while "ended" not in (event := events.next()):
            states.append(event["operation"])
    assert event["ended"]["reason"] == "OPERATION_ENDED"
    assert {each["id"] for each in states} == {operation["id"]}
    assert (states[-1]["state"], states[-1]["changed"]) == ("finished", 3)


def test_a_grpc_client_watches_an_operation_again(stub: Any, client: httpx.Client) -> None:
    operation = cancelling(client, 1)
    request = job_service_pb2.WatchOperationRequest(id=operation["id"])
    for _ in range(2):
        responses = list(stub.WatchOperation(request, timeout=PATIENCE))
        assert responses[-1].ended.reason == "OPERATION_ENDED"
        assert responses[-2].operation.state == job_service_pb2.Operation.State.finished
    assert len(responses) == 2


def test_head_of_a_watch_is_answered_at_once_with_the_headers(client: httpx.Client) -> None:
    job = create(client, UNWORKED, {})
    for path in (f"/jobs/{job['id']}:watch", f"/jobs/{job['id']}%3Awatch", "/jobs:watch"):
        # The client sends each request on the same connection, so each answer must have ended.
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")
    operation = cancelling(client, 0)
    assert client.head(f"/operations/{operation['id']}:watch").status_code == 200
    assert client.head(f"/jobs/{UNKNOWN}:watch").status_code == 404
    assert client.get(f"/jobs/{job['id']}").json()["status"] == "queued"


def test_only_the_gateway_can_say_that_a_request_is_head(stack: Stack, client: httpx.Client) -> None:
    job = create(client, UNWORKED, {})
    with jobs_client(stack) as other:
        other.headers["x-http-head"] = "true"
        with watching(other, f"/jobs/{job['id']}:watch") as events:
            events.begin()
            events.until_heartbeat()


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        (f"/jobs/{UNKNOWN}:watch", {}, 404, 5),
        ("/jobs/abc:watch", {}, 400, 3),
        (f"/jobs/{UNKNOWN}:watch", {"type": "compute"}, 400, 3),
        ("/jobs:watch", {"resumeToken": "abc"}, 400, 3),
        ("/jobs:watch", {"status": "unspecified"}, 400, 3),
        ("/jobs:watch", {"nope": "1"}, 400, 3),
        ("/jobs:watch", {"includeLog": "true"}, 400, 3),
        (f"/operations/{UNKNOWN}:watch", {}, 404, 5),
        ("/operations/abc:watch", {}, 400, 3),
    ],
)
def test_a_watch_that_cannot_begin_is_an_error(
    client: httpx.Client, path: str, query: dict[str, str], status: int, code: int
) -> None:
    with watching(client, path, **query) as events:
        error_of(events.answer, status, code)
