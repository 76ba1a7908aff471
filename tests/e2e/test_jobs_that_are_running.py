"""Running jobs in the whole system: retries, timeouts, progress and cancellation."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil
import pytest

from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, wait_until_ended, worker_events
from tests.gate import Gate
from tests.waiting import wait_for

WAYS = ["gated", "gated-thread", "gated-process"]
ONE_TRY = {"maxAttempts": 1}
NO_WAIT = {"initialBackoff": "0s", "jitter": 0}
LONG_WAIT = {"initialBackoff": "3600s", "maxBackoff": "3600s", "jitter": 0}


def cancel(client: httpx.Client, job_id: str, reason: str = "") -> dict[str, Any]:
    answer = client.post(f"/jobs/{job_id}:cancel", json={"reason": reason})
    assert answer.is_success, answer.text
    job: dict[str, Any] = answer.json()
    return job


def has_stopped(gate: Gate, job_id: str, way: str) -> bool:
    """Whether the handler was stopped before its gate opened."""
    if way == "gated":
        return gate.was_stopped(job_id)
    return not psutil.pid_exists(gate.processes(job_id)[-1])


def test_a_job_with_a_permanent_error_is_not_retried(client: httpx.Client) -> None:
    payload = {"raise": "permanent", "text": "no such customer", "mends": True}

    job = wait_until_ended(client, create(client, "broken", payload, retryPolicy=NO_WAIT)["id"])

    assert (job["status"], job["attempt"], job["failures"]) == ("failed", 1, 1)
    assert job["error"] == {"code": "INTERNAL", "message": "no such customer", "reason": "PERMANENT_ERROR"}


def test_a_short_retry_after_overrides_the_policy(client: httpx.Client) -> None:
    payload = {"raise": "later", "delay": 0.2, "mends": True}

    job = wait_until_ended(client, create(client, "broken", payload, retryPolicy=LONG_WAIT)["id"])

    assert (job["status"], job["attempt"], job["failures"]) == ("completed", 2, 1)


def test_a_long_retry_after_overrides_the_policy(client: httpx.Client) -> None:
    payload = {"raise": "later", "delay": 3600, "text": "busy"}
    job_id = create(client, "broken", payload, retryPolicy=NO_WAIT)["id"]

    job = wait_for(
        lambda: (job := get(client, job_id)).get("failures") and job, "the first attempt has failed"
    )

    assert (job["status"], job["attempt"]) == ("queued", 1)
    wait = datetime.fromisoformat(job["nextAttemptTime"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < wait < timedelta(minutes=61)
    cancel(client, job_id)


def test_retry_after_does_not_add_an_attempt(client: httpx.Client) -> None:
    payload = {"raise": "later", "delay": 0, "text": "busy"}

    job = wait_until_ended(client, create(client, "broken", payload, retryPolicy={"maxAttempts": 2})["id"])

    assert (job["status"], job["attempt"], job["failures"]) == ("failed", 2, 2)
    assert (job["error"]["reason"], job["error"]["message"]) == ("RETRY_AFTER", "busy")


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_is_stopped_after_the_timeout_and_its_job_fails(
    client: httpx.Client, gate: Gate, way: str
) -> None:
    job_id = create(client, way, gate.payload, timeout="0.3s", retryPolicy=ONE_TRY)["id"]

    job = wait_until_ended(client, job_id)

    assert (job["status"], job["attempt"]) == ("failed", 1)
    assert job["error"] == {
        "code": "DEADLINE_EXCEEDED",
        "message": "the handler ran for longer than the job's timeout of 0.3 s",
        "reason": "TIMEOUT",
    }
    if way == "gated-thread":
        gate.open()
        wait_for(lambda: gate.has_returned(job_id), "the thread runs to its end")
    else:
        wait_for(lambda: has_stopped(gate, job_id, way), "the handler has stopped")
    assert get(client, job_id) == job


def test_each_attempt_has_its_own_timeout(client: httpx.Client, gate: Gate) -> None:
    policy = {"maxAttempts": 3, **NO_WAIT}
    job_id = create(client, "gated", gate.payload, timeout="0.5s", retryPolicy=policy)["id"]
    wait_for(lambda: gate.runs(job_id) == [1, 2], "the second attempt runs")
    gate.open()

    job = wait_until_ended(client, job_id)

    assert (job["status"], job["attempt"], job["failures"]) == ("completed", 2, 1)


@pytest.mark.parametrize("way", WAYS)
def test_progress_is_shown_while_the_handler_runs(client: httpx.Client, gate: Gate, way: str) -> None:
    job_id = create(client, way, {**gate.payload, "progress": [37.5, "reading"]})["id"]

    job = wait_for(lambda: (job := get(client, job_id)).get("progress") and job, "the progress is shown")

    assert (job["status"], job["progress"]) == ("processing", {"percent": 37.5, "message": "reading"})
    gate.open()
    assert wait_until_ended(client, job_id)["status"] == "completed"


@pytest.mark.parametrize("way", WAYS)
def test_a_cancelled_handler_is_stopped_and_its_result_is_ignored(
    stack: Stack, client: httpx.Client, gate: Gate, way: str
) -> None:
    job_id = create(client, way, gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id), "the job runs")

    job = cancel(client, job_id, "not needed")

    assert (job["status"], job["attempt"]) == ("cancelled", 1)
    assert (job["error"]["code"], job["error"]["message"]) == ("CANCELLED", "not needed")
    if way == "gated-thread":
        gate.open()
        wait_for(lambda: gate.has_returned(job_id), "the thread runs to its end")
    else:
        wait_for(lambda: has_stopped(gate, job_id, way), "the handler has stopped")
    # After either event the worker reports nothing more about the job.
    ends = {"job_given_up", "report_refused"}
    wait_for(lambda: ends.intersection(worker_events(stack, job_id)), "the worker has dropped the job")
    assert get(client, job_id) == job
    assert gate.runs(job_id) == [1]


def test_a_cancelled_job_frees_its_process(client: httpx.Client, gate: Gate) -> None:
    processes = psutil.cpu_count() or 1
    ids = [create(client, "gated-process", gate.payload)["id"] for _ in range(processes)]
    wait_for(lambda: all(gate.runs(job_id) for job_id in ids), "all processes are busy")
    for job_id in ids:
        cancel(client, job_id)

    following = create(client, "gated-process", gate.payload)["id"]
    wait_for(lambda: gate.runs(following), "the next job runs")
    gate.open()
    assert wait_until_ended(client, following)["status"] == "completed"
