"""Explain, as a REST client sees it."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from local_stack.stack import Stack
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import create, jobs_client, wait_for_status, wait_until_ended
from tests.e2e.rest import COMPUTE, error_of
from tests.gate import Gate


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
