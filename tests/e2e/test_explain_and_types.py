"""Explain, ListTypes, Stats and the warnings of Create, as a REST client sees them."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, jobs_client, wait_for_status, wait_until_ended
from tests.e2e.rest import COMPUTE, error_of
from tests.gate import Gate
from tests.waiting import wait_for


@pytest.fixture
def jobs(stack: Stack) -> Iterator[httpx.Client]:
    with jobs_client(stack) as client:
        yield client


def test_a_job_without_a_worker_a_running_job_and_an_ended_job(jobs: httpx.Client, gate: Gate) -> None:
    waiting = create(jobs, UNWORKED, {})
    explanation = jobs.get(f"/jobs/{waiting['id']}:explain").json()
    assert explanation["reason"] == "no_worker"
    assert explanation["message"] == f"No live worker takes jobs of the type {UNWORKED}."
    assert explanation["ahead"] >= 0

    running = create(jobs, "gated", gate.payload)
    held = wait_for_status(jobs, running["id"], "processing")
    explanation = jobs.get(f"/jobs/{running['id']}%3Aexplain").json()
    assert explanation["reason"] == "running"
    assert explanation["workerId"] == held["workerId"]
    assert explanation["startTime"] == held["startTime"]
    assert explanation["nextTime"] == explanation["leaseExpireTime"] > explanation["startTime"]
    gate.open()
    wait_until_ended(jobs, running["id"])

    ended = wait_until_ended(jobs, create(jobs, "compute", COMPUTE["payload"])["id"])
    explanation = jobs.get(f"/jobs/{ended['id']}:explain").json()
    assert (explanation["reason"], explanation["next"]) == ("ended", "Nothing.")


def test_a_wrong_id_and_an_absent_job(jobs: httpx.Client) -> None:
    error_of(jobs.get("/jobs/nonsense:explain"), 400, 3)
    error_of(jobs.get(f"/jobs/{uuid4()}:explain"), 404, 5)


def test_types_and_the_warning_for_a_type_without_a_worker(jobs: httpx.Client) -> None:
    # A worker on a busy machine may be late with its heartbeats.
    wait_for(lambda: create(jobs, "compute", COMPUTE["payload"])["warnings"] == [], "there is no warning")
    warnings = create(jobs, UNWORKED, {})["warnings"]
    assert warnings == [f"No live worker takes jobs of the type {UNWORKED}. Its jobs wait until one starts."]

    def types() -> dict[str, Any]:
        return {each["type"]: each for each in jobs.get("/types").json()["types"]}

    wait_for(lambda: types()["compute"]["workerNames"] == ["worker-1"], "the worker is listed")
    found = wait_for(lambda: (each := types()[UNWORKED])["waiting"] and each, "the job is counted")
    assert (found["accepted"], found["liveWorkers"], found["stopped"]) == (True, 0, False)
    assert jobs.post("/types").status_code == 405


def test_statistics_count_a_job_that_expires_as_failed(jobs: httpx.Client) -> None:
    def failed() -> float:
        types = jobs.get("/stats").json()["types"]
        return sum(float(each["failedTotal"]) for each in types if each["type"] == UNWORKED)

    before = failed()
    job = create(jobs, UNWORKED, {}, expireTime="2020-01-01T00:00:00Z")
    assert wait_until_ended(jobs, job["id"])["error"]["reason"] == "EXPIRED"
    wait_for(lambda: failed() > before, "the failure is counted")


def test_statistics_count_a_job_from_its_creation_to_its_end(jobs: httpx.Client) -> None:
    def compute() -> dict[str, Any]:
        (stats,) = [each for each in jobs.get("/stats").json()["types"] if each["type"] == "compute"]
        return dict(stats)

    before = compute()["completedTotal"]
    wait_until_ended(jobs, create(jobs, "compute", COMPUTE["payload"])["id"])
    wait_for(lambda: compute()["completedTotal"] > before, "the end is counted")
    hour = compute()["lastHour"]
    assert min(hour["created"], hour["started"], hour["completed"]) >= 1
    assert hour["runLatency"].keys() == {"p50", "p95", "p99"}
    answer = jobs.get("/stats").json()
    assert len(answer["minutes"]) == 60
    (unworked,) = [each for each in answer["types"] if each["type"] == UNWORKED]
    assert not unworked["hasWorker"]
    wait_for(lambda: compute()["hasWorker"], "the worker counts")
