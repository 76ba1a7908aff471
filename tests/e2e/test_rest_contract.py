"""A REST client that knows only the five original routes and three statuses."""

import hashlib
import re
import time
from typing import Any

import httpx
import pytest

from local_stack.stack import Stack

STAYS_QUEUED = 0.5
"""Seconds. Workers that are not stopped start a job within a few milliseconds."""
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class OriginalClient:
    """Sends and reads only what the original API had."""

    def __init__(self, stack: Stack) -> None:
        self._jobs = stack.endpoints.jobs_url
        self._workers = stack.endpoints.workers_url

    def create(self, job_type: str, payload: Any) -> dict[str, Any]:
        return self._call("POST", f"{self._jobs}/jobs", {"type": job_type, "payload": payload})

    def get(self, job_id: str) -> dict[str, Any]:
        return self._call("GET", f"{self._jobs}/jobs/{job_id}")

    def update(self, job_id: str, **fields: Any) -> dict[str, Any]:
        return self._call("PATCH", f"{self._jobs}/jobs/{job_id}", fields)

    def start(self) -> None:
        self._call("POST", f"{self._workers}/start")

    def stop(self) -> None:
        self._call("POST", f"{self._workers}/stop")

    def _call(self, method: str, url: str, body: Any = None) -> dict[str, Any]:
        answer = httpx.request(method, url, json=body, timeout=20, trust_env=False)
        assert answer.is_success, answer.text
        assert answer.headers["content-type"] == "application/json"
        content: dict[str, Any] = answer.json()
        return content

    def wait(self, job_id: str, status: str) -> dict[str, Any]:
        deadline = time.monotonic() + 30
        while (job := self.get(job_id))["status"] != status:
            assert time.monotonic() < deadline, job
            time.sleep(0.05)
        return job


@pytest.fixture
def client(stack: Stack) -> OriginalClient:
    return OriginalClient(stack)


def test_a_job_is_created_as_queued_and_completes_with_its_hash(client: OriginalClient) -> None:
    job = client.create("compute", {"input": "hello"})
    assert UUID.fullmatch(job["id"])
    assert (job["type"], job["status"], job["payload"]) == ("compute", "queued", {"input": "hello"})
    done = client.wait(job["id"], "completed")
    assert done["result"] == {"hash": hashlib.sha256(b"hello").hexdigest()}
    assert (done["id"], done["type"], done["payload"]) == (job["id"], "compute", {"input": "hello"})


def test_a_client_can_run_a_job_itself(client: OriginalClient) -> None:
    client.stop()
    try:
        job = client.create("compute", {"input": "by hand"})
        assert client.update(job["id"], status="processing")["status"] == "processing"
        done = client.update(job["id"], status="completed", result={"hash": "by hand"})
        assert (done["status"], done["result"]) == ("completed", {"hash": "by hand"})
        assert client.get(job["id"]) == done
    finally:
        client.start()


def test_jobs_stay_queued_while_the_system_is_stopped_and_run_after_start(client: OriginalClient) -> None:
    client.stop()
    client.stop()
    try:
        job = client.create("compute", {"input": "later"})
        other = client.create("data", {"records": [{"x": 1}]})
        until = time.monotonic() + STAYS_QUEUED
        while time.monotonic() < until:
            assert {client.get(created["id"])["status"] for created in (job, other)} == {"queued"}
    finally:
        client.start()
        client.start()
    for created in (job, other):
        client.wait(created["id"], "completed")


def test_payloads_are_returned_unchanged(client: OriginalClient) -> None:
    payload = {
        "input": "é ☃ \u0000 \U0001f600",
        "nested": {"list": [1, 2.5, -0.25, True, None, "x", {}, []], "a.b": 1, "$set": {"$x": 1}, "": 0},
        "reference": {"$ref": "collection", "$id": {"$ref": "x", "$id": [{"$ref": "y", "$id": 1, "$db": 2}]}},
        "large": 9007199254740992,
    }
    job = client.create("compute", payload)
    assert job["payload"] == payload
    assert client.get(job["id"])["payload"] == payload
