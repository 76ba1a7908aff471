"""Retries, schedules, expiry, Cancel and Retry, as a REST client sees them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import (
    create,
    get,
    jobs_client,
    wait_for_status,
    wait_until_ended,
    worker_events,
    workers_client,
)
from tests.e2e.rest import COMPUTE, error_of
from tests.gate import Gate
from tests.waiting import wait_for

SOON = {"initialBackoff": "0.2s", "jitter": 0}


@pytest.fixture
def jobs(stack: Stack) -> Iterator[httpx.Client]:
    with jobs_client(stack) as client:
        yield client


@pytest.fixture
def stopped(stack: Stack) -> Iterator[httpx.Client]:
    """A client of the workers port. The fleet is stopped."""
    with workers_client(stack) as client:
        assert client.post("/stop").is_success
        try:
            yield client
        finally:
            assert client.post("/start").is_success


def ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    return datetime.fromisoformat(text)


def call(client: httpx.Client, job: dict[str, Any], verb: str, **body: Any) -> httpx.Response:
    return client.post(f"/jobs/{job['id']}:{verb}", json=body)


def reason_of(answer: httpx.Response) -> str:
    reason: str = error_of(answer, 409, 9)["details"][0]["reason"]
    return reason


def test_a_new_job_has_its_retry_policy_with_defaults(jobs: httpx.Client) -> None:
    plain = create(jobs, "compute", COMPUTE["payload"])
    assert plain["retryPolicy"] == {
        "maxAttempts": 3,
        "initialBackoff": "1s",
        "maxBackoff": "300s",
        "multiplier": 2,
        "jitter": 0.2,
    }
    own = create(jobs, "compute", COMPUTE["payload"], retryPolicy={"maxAttempts": 7, **SOON}, timeout="1.5s")
    assert own["retryPolicy"]["maxAttempts"] == 7
    assert own["retryPolicy"]["initialBackoff"] == "0.200s"
    assert own["retryPolicy"]["jitter"] == 0
    assert own["timeout"] == "1.500s"


def test_a_failing_job_is_retried_until_it_succeeds(jobs: httpx.Client) -> None:
    job = create(jobs, "flaky", {"failures": 2}, retryPolicy=SOON)
    done = wait_until_ended(jobs, job["id"])
    assert (done["status"], done["attempt"], done["failures"]) == ("completed", 3, 2)
    assert done["result"] == {"attempt": 3}
    first, second, third = done["history"]
    assert [each["outcome"] for each in done["history"]] == ["errored", "errored", "succeeded"]
    assert [each["attempt"] for each in done["history"]] == [1, 2, 3]
    assert first["error"]["reason"] == "HANDLER_ERROR"
    # The waits are 0.2 s and 0.4 s.
    assert time_of(second["startTime"]) - time_of(first["endTime"]) >= timedelta(seconds=0.2)
    assert time_of(third["startTime"]) - time_of(second["endTime"]) >= timedelta(seconds=0.4)
    assert third["endTime"] == done["endTime"]


def test_a_job_fails_after_its_last_attempt_and_retry_gives_it_all_attempts_again(
    jobs: httpx.Client,
) -> None:
    job = create(jobs, "flaky", {"failures": 3}, retryPolicy={"maxAttempts": 2, **SOON})
    failed = wait_until_ended(jobs, job["id"])
    assert (failed["status"], failed["attempt"], failed["failures"]) == ("failed", 2, 2)
    assert failed["error"]["reason"] == "HANDLER_ERROR"
    listed = jobs.get("/jobs", params={"status": "failed", "type": "flaky"}).json()["jobs"]
    assert job["id"] in [each["id"] for each in listed]

    again = call(jobs, job, "retry")
    assert again.is_success, again.text
    assert (again.json()["status"], again.json()["failures"]) == ("queued", 0)
    assert "error" not in again.json()
    done = wait_until_ended(jobs, job["id"])
    assert (done["status"], done["attempt"], done["failures"]) == ("completed", 4, 1)
    assert [each["outcome"] for each in done["history"]] == ["errored"] * 3 + ["succeeded"]


def test_a_scheduled_job_starts_at_its_time(jobs: httpx.Client) -> None:
    job = create(jobs, "compute", COMPUTE["payload"], scheduleTime=ahead(2))
    assert job["status"] == "queued"
    assert job["nextAttemptTime"] == job["scheduleTime"]
    claim = jobs.patch(f"/jobs/{job['id']}", json={"status": "processing"})
    assert reason_of(claim) == "NOT_DUE"
    done = wait_until_ended(jobs, job["id"])
    assert done["status"] == "completed"
    assert done["attempt"] == 1
    assert time_of(done["startTime"]) >= time_of(done["scheduleTime"])
    assert "nextAttemptTime" not in done


@pytest.mark.usefixtures("stopped")
def test_an_expired_job_is_not_started_and_retry_needs_a_new_expire_time(
    jobs: httpx.Client, stopped: httpx.Client
) -> None:
    job = create(jobs, "compute", COMPUTE["payload"], expireTime=ahead(1))
    expired = wait_until_ended(jobs, job["id"])
    assert (expired["status"], expired["attempt"]) == ("failed", 0)
    assert expired["error"]["reason"] == "EXPIRED"
    assert expired["history"] == []
    assert time_of(expired["endTime"]) >= time_of(expired["expireTime"])

    assert reason_of(call(jobs, job, "retry")) == "EXPIRED"
    again = call(jobs, job, "retry", expireTime=ahead(60))
    assert again.json()["status"] == "queued"
    stopped.post("/start")
    assert wait_until_ended(jobs, job["id"])["status"] == "completed"


def test_a_repeated_request_with_a_key_returns_the_expired_job(jobs: httpx.Client) -> None:
    body = {**COMPUTE, "expireTime": ahead(-5)}
    headers = {"Idempotency-Key": str(uuid4())}
    first = jobs.post("/jobs", json=body, headers=headers).json()
    assert wait_until_ended(jobs, first["id"])["error"]["reason"] == "EXPIRED"
    second = jobs.post("/jobs", json=body, headers=headers)
    assert second.is_success, second.text
    assert (second.json()["id"], second.json()["status"]) == (first["id"], "failed")


def test_a_queued_job_that_is_cancelled_never_runs(
    jobs: httpx.Client, stopped: httpx.Client, gate: Gate
) -> None:
    gate.open()
    job = create(jobs, "gated", gate.payload)
    cancelled = call(jobs, job, "cancel", reason="withdrawn").json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["error"] == {"code": "CANCELLED", "message": "withdrawn", "reason": "CANCELLED"}
    stopped.post("/start")
    # Later jobs of the same topic run, in all partitions.
    later = [create(jobs, "gated", gate.payload)["id"] for _ in range(40)]
    assert {wait_until_ended(jobs, job_id)["status"] for job_id in later} == {"completed"}
    assert gate.runs(job["id"]) == []
    assert get(jobs, job["id"]) == cancelled
    assert reason_of(call(jobs, job, "cancel")) == "JOB_TERMINAL"


def test_a_running_job_is_cancelled_at_once_and_stays_cancelled(
    stack: Stack, jobs: httpx.Client, gate: Gate
) -> None:
    job = create(jobs, "gated", gate.payload)
    wait_for(lambda: gate.runs(job["id"]), "the handler runs")
    cancelled = call(jobs, job, "cancel").json()
    assert cancelled["status"] == "cancelled"
    assert cancelled["history"][-1]["outcome"] == "cancelled"

    running = jobs.get("/jobs", params={"status": "processing"}).json()["jobs"]
    assert job["id"] not in [each["id"] for each in running]
    gate.open()
    wait_for(lambda: end_at_worker(stack, job), "the worker knows that the job was cancelled")
    assert get(jobs, job["id"]) == cancelled


def test_a_late_report_of_a_cancelled_job_is_refused(
    stack: Stack, jobs: httpx.Client, tmp_path: Path
) -> None:
    # A heartbeat may tell the worker of the cancellation before it reports. Then it does not report at all,
    # and the test tries again with another job.
    ends = (cancel_behind_the_worker_s_back(stack, jobs, tmp_path / str(number)) for number in range(5))
    assert "report_refused" in ends


def cancel_behind_the_worker_s_back(stack: Stack, jobs: httpx.Client, directory: Path) -> str:
    """Cancel a running job whose worker is frozen, and let the worker report. Returns end_at_worker."""
    directory.mkdir()
    gate = Gate(directory)
    job = create(jobs, "gated", gate.payload)
    wait_for(lambda: gate.runs(job["id"]), "the handler runs")
    stack.freeze("worker")
    try:
        cancelled = call(jobs, job, "cancel").json()
        gate.open()
    finally:
        stack.thaw("worker")
    end: str = wait_for(lambda: end_at_worker(stack, job), "the worker has reported or given up")
    assert cancelled["status"] == "cancelled"
    assert get(jobs, job["id"]) == cancelled
    return end


def end_at_worker(stack: Stack, job: dict[str, Any]) -> str:
    """The event by which the worker knows that the job is not its own any more, or ""."""
    ends = [event for event in worker_events(stack, job["id"]) if event in {"report_refused", "job_given_up"}]
    return ends[0] if ends else ""


def test_a_cancelled_job_can_be_retried(jobs: httpx.Client) -> None:
    job = create(jobs, "compute", COMPUTE["payload"], scheduleTime=ahead(3600))
    assert call(jobs, job, "cancel").is_success
    assert call(jobs, job, "retry").json()["status"] == "queued"
    assert wait_until_ended(jobs, job["id"])["status"] == "completed"
    assert reason_of(call(jobs, job, "retry")) == "JOB_TERMINAL"


def test_only_a_failed_or_cancelled_job_is_retried(jobs: httpx.Client, stopped: httpx.Client) -> None:
    job = create(jobs, "compute", COMPUTE["payload"])
    assert reason_of(call(jobs, job, "retry")) == "ILLEGAL_TRANSITION"
    stopped.post("/start")
    wait_for_status(jobs, job["id"], "completed")


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_a_missing_job_is_not_found(jobs: httpx.Client, verb: str) -> None:
    error_of(call(jobs, {"id": str(uuid4())}, verb), 404, 5)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("retryPolicy.maxAttempts", {"retryPolicy": {"maxAttempts": 101}}),
        ("retryPolicy.initialBackoff", {"retryPolicy": {"initialBackoff": "-1s"}}),
        ("retryPolicy.maxBackoff", {"retryPolicy": {"maxBackoff": "604801s"}}),
        ("retryPolicy.multiplier", {"retryPolicy": {"multiplier": 0.5}}),
        ("retryPolicy.jitter", {"retryPolicy": {"jitter": 1.1}}),
        ("timeout", {"timeout": "0.009s"}),
        ("timeout", {"timeout": "604801s"}),
        ("scheduleTime", {"scheduleTime": ahead(367 * 86400)}),
        ("expireTime", {"scheduleTime": "2026-01-01T00:00:01Z", "expireTime": "2026-01-01T00:00:01Z"}),
    ],
)
def test_a_wrong_field_is_named(jobs: httpx.Client, field: str, fields: dict[str, Any]) -> None:
    body = error_of(jobs.post("/jobs", json={**COMPUTE, **fields}), 400, 3)
    violations = body["details"][0]["fieldViolations"]
    assert [each["field"].replace("_", "").lower() for each in violations] == [field.lower()]


@pytest.mark.parametrize(
    "fields",
    [
        {"retryPolicy": {"maxAttempts": 100, "multiplier": 100, "jitter": 1, "maxBackoff": "604800s"}},
        {"retryPolicy": {"initialBackoff": "0s"}},
        {"timeout": "0.010s"},
        {"timeout": "604800s"},
        {"scheduleTime": ahead(365 * 86400)},
        {"scheduleTime": "2026-01-01T00:00:01Z", "expireTime": "2026-01-01T00:00:01.001Z"},
    ],
)
def test_a_field_at_its_limit_is_accepted(jobs: httpx.Client, fields: dict[str, Any]) -> None:
    job = create(jobs, "compute", COMPUTE["payload"], **fields)
    if job["status"] == "queued":
        call(jobs, job, "cancel")


# Delete


def test_a_job_that_has_ended_can_be_deleted_and_deleted_again(jobs: httpx.Client) -> None:
    job = create(jobs, "compute", COMPUTE["payload"])
    wait_until_ended(jobs, job["id"])

    for _ in range(2):
        answer = jobs.delete(f"/jobs/{job['id']}")
        assert (answer.status_code, answer.json()) == (200, {})
        error_of(jobs.get(f"/jobs/{job['id']}"), 404, 5)
    error_of(call(jobs, job, "retry"), 404, 5)
    late = jobs.patch(f"/jobs/{job['id']}", json={"status": "completed", "result": {}})
    error_of(late, 404, 5)


def test_a_job_that_has_not_ended_cannot_be_deleted_before_it_is_cancelled(jobs: httpx.Client) -> None:
    job = create(jobs, UNWORKED, COMPUTE["payload"])

    assert reason_of(jobs.delete(f"/jobs/{job['id']}")) == "JOB_NOT_ENDED"
    assert get(jobs, job["id"])["status"] == "queued"
    assert call(jobs, job, "cancel").is_success
    assert jobs.delete(f"/jobs/{job['id']}").is_success


def test_an_id_that_is_not_a_uuid_cannot_be_deleted(jobs: httpx.Client) -> None:
    error_of(jobs.delete("/jobs/abc"), 400, 3)


def test_a_create_that_is_repeated_after_delete_stores_the_job_again(jobs: httpx.Client) -> None:
    headers = {"Idempotency-Key": uuid4().hex}
    job = jobs.post("/jobs", json=COMPUTE, headers=headers).json()
    wait_until_ended(jobs, job["id"])
    assert jobs.delete(f"/jobs/{job['id']}").is_success

    again = jobs.post("/jobs", json=COMPUTE, headers=headers).json()
    assert (again["id"], again["status"], again["attempt"]) == (job["id"], "queued", 0)
    assert wait_until_ended(jobs, job["id"])["status"] == "completed"
