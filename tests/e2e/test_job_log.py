"""The log of a job: what its handler logged and printed, and the traces of its failed attempts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.jobs_api import create, wait_until_ended
from tests.waiting import wait_for

NO_JOB = "018f3a4b-0000-7000-8000-000000000000"

TWICE = {"maxAttempts": 2, "initialBackoff": "0.01s", "maxBackoff": "0.01s"}


def log_of(client: httpx.Client, job_id: str, **query: Any) -> dict[str, Any]:
    answer = client.get(f"/jobs/{job_id}/log", params=query)
    assert answer.is_success, answer.text
    log: dict[str, Any] = answer.json()
    return log


def texts(log: dict[str, Any]) -> list[str]:
    return [entry["message"] for entry in log.get("entries", [])]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Payload fields for a gated handler. In the end its gate is open."""
    yield {"ledger": str(tmp_path / "ledger"), "gate": str(tmp_path / "gate")}
    (tmp_path / "gate").touch()


@pytest.mark.parametrize("job_type", ["gated", "gated-thread", "gated-process"])
def test_lines_are_there_while_the_handler_runs_and_after_the_job(
    client: httpx.Client, gate: dict[str, str], job_type: str
) -> None:
    job = create(client, job_type, {**gate, "say": "höllo"})
    wait_for(lambda: len(texts(log_of(client, job["id"]))) == 2, "both lines are stored")
    Path(gate["gate"]).touch()
    ended = wait_until_ended(client, job["id"])

    log = log_of(client, job["id"])
    first, second = log["entries"]
    assert log.get("dropped", 0) == 0
    assert (first["number"], first["kind"], first["level"]) == (1, "line", "info")
    assert (first["logger"], first["message"]) == ("tests", "logged höllo")
    assert (second["number"], second["logger"], second["message"]) == (2, "stdout", "printed höllo")
    assert {entry["attempt"] for entry in log["entries"]} == {1}
    assert {entry["workerId"] for entry in log["entries"]} == {ended["workerId"]}
    assert first["time"] <= second["time"]
    assert texts(log_of(client, job["id"], afterNumber=1)) == ["printed höllo"]
    assert texts(log_of(client, job["id"], afterNumber=2)) == []


def test_the_trace_of_each_failed_attempt_is_there_as_soon_as_the_job_has_failed(
    client: httpx.Client,
) -> None:
    job = client.post(
        "/jobs?wait=20s", json={"type": "broken", "payload": {"text": "no luck"}, "retryPolicy": TWICE}
    ).json()
    assert job["status"] == "failed"
    entries = log_of(client, job["id"])["entries"]
    assert [(entry["kind"], entry["attempt"], entry["number"]) for entry in entries] == [
        ("trace", 1, 1),
        ("trace", 2, 2),
    ]
    for entry in entries:
        assert entry["message"].startswith("Traceback (most recent call last):")
        assert entry["message"].endswith("RuntimeError: no luck")


def test_a_job_that_logs_nothing_has_an_empty_log(client: httpx.Client) -> None:
    job = create(client, "compute", {"input": "x"})
    wait_until_ended(client, job["id"])
    assert texts(log_of(client, job["id"])) == []


def test_the_log_is_deleted_with_its_job(client: httpx.Client) -> None:
    job = create(client, "broken", {"raise": "permanent"})
    wait_until_ended(client, job["id"])
    assert client.delete(f"/jobs/{job['id']}").is_success
    answer = client.get(f"/jobs/{job['id']}/log")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "JOB_NOT_FOUND")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        (f"/jobs/{NO_JOB}/log", 404, "there is no job"),
        ("/jobs/no-uuid/log", 400, "id"),
        (f"/jobs/{NO_JOB}/log?afterNumber=-1", 400, "after_number"),
        (f"/jobs/{NO_JOB}/log?after=1", 400, "after"),
    ],
)
def test_a_wrong_request_is_refused(client: httpx.Client, path: str, status: int, text: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert text in answer.text
