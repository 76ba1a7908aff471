"""The system recovers when a real process is killed, stopped or frozen."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from local_stack.part import StackError
from local_stack.stack import Stack
from service_runtime.health_probe import is_serving
from tests.conftest import UNWORKED
from tests.e2e.jobs_api import (
    create,
    get,
    wait_for_status,
    wait_until_ended,
    worker_events,
    workers_client,
)
from tests.gate import Gate
from tests.waiting import wait_for


@pytest.fixture
def control(stack: Stack) -> Iterator[httpx.Client]:
    with workers_client(stack) as client:
        yield client


def test_a_job_of_a_killed_worker_runs_again_and_ends_once(
    stack: Stack, client: httpx.Client, gate: Gate
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id) == [1], "the job runs")
    stack.kill("worker", 1)
    stack.start("worker", 1)
    wait_for(lambda: gate.runs(job_id) == [1, 2], "the job runs again")
    gate.open()
    job = wait_until_ended(client, job_id)
    assert (job["status"], job["attempt"], job["result"]) == ("completed", 2, {"attempt": 2})
    assert gate.runs(job_id) == [1, 2]


def test_a_worker_that_was_frozen_for_longer_than_its_lease_cannot_report(
    stack: Stack, client: httpx.Client, gate: Gate
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id) == [1], "the job runs")
    stack.freeze("worker", 1)
    try:
        stack.start("worker", 2)
        try:
            wait_for(lambda: gate.runs(job_id) == [1, 2], "another worker runs the job")
            stack.thaw("worker", 1)
            gate.open()
            job = wait_until_ended(client, job_id)
            assert (job["attempt"], job["result"]) == (2, {"attempt": 2})
            assert job["workerId"].startswith("worker-2/")
            wait_for(lambda: knows_that_it_lost(stack, job_id), "the report is refused, or not made")
            assert get(client, job_id) == job
        finally:
            stack.stop("worker", 2)
    finally:
        stack.thaw("worker", 1)


def knows_that_it_lost(stack: Stack, job_id: str) -> bool:
    """Whether worker 1 knows that it has lost a job: by a refusal, the job's next record or a heartbeat."""
    return not {"report_refused", "claim_lost", "job_given_up"}.isdisjoint(worker_events(stack, job_id))


def test_a_worker_that_was_frozen_for_longer_than_its_lease_runs_the_job_again(
    stack: Stack, client: httpx.Client, gate: Gate
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id) == [1], "the job runs")
    holder = get(client, job_id)["workerId"]
    stack.freeze("worker", 1)
    try:
        wait_for_status(client, job_id, "queued")
    finally:
        stack.thaw("worker", 1)
    wait_for(lambda: gate.runs(job_id) == [1, 2], "the same worker runs the job again")
    gate.open()
    job = wait_until_ended(client, job_id)
    assert (job["status"], job["workerId"], job["result"]) == ("completed", holder, {"attempt": 2})
    assert gate.runs(job_id) == [1, 2]


def test_a_job_survives_when_its_api_server_is_killed_right_after_the_answer(
    stack: Stack, client: httpx.Client
) -> None:
    ids = [create(client, "compute", {"input": str(number)})["id"] for number in range(20)]
    stack.kill("api_server", 1)
    stack.up()
    assert {wait_until_ended(client, job_id)["status"] for job_id in ids} == {"completed"}


@pytest.mark.slow
def test_an_operation_goes_on_when_its_api_server_is_killed(stack: Stack, client: httpx.Client) -> None:
    """Each job is cancelled once and counted once. There is one API server, so it runs the operation."""
    label = f"run={uuid4().hex}"
    job = {"type": UNWORKED, "payload": {}, "labels": {"run": label.partition("=")[2]}}
    for _ in range(2):
        assert client.post("/jobs:batchCreate", json={"requests": [job] * 1000}).is_success
    operation = client.post("/jobs:bulkCancel", json={"filter": {"labels": [label]}}).json()

    def progress() -> dict[str, Any]:
        answer = client.get(f"/operations/{operation['id']}")
        return answer.json() if answer.is_success else {"state": "unknown", "changed": 0}

    wait_for(lambda: progress()["changed"], "some jobs are cancelled")
    stack.kill("api_server", 1)
    stack.start("api_server", 1)
    wait_for(lambda: progress()["state"] == "finished", "the operation has ended")
    assert (progress()["changed"], progress()["refused"]) == (2000, 0)
    query = {"labels": label, "view": "basic", "includeTotalSize": "true", "statuses": "cancelled"}
    listed = client.get("/jobs", params=query).json()
    assert listed["totalSize"] == 2000
    # Stored, and cancelled once.
    assert {job["revision"] for job in listed["jobs"]} == {2}


def test_an_api_server_that_is_stopped_answers_the_calls_in_flight(
    stack: Stack, client: httpx.Client
) -> None:
    def post(number: int) -> httpx.Response:
        return client.post("/jobs", json={"type": "compute", "payload": {"input": str(number)}})

    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(post, number) for number in range(200)]
        wait_for(lambda: sum(answer.done() for answer in answers) > 50, "some calls are answered")
        stack.stop("api_server", 1)
        stack.up()
        results = [answer.result() for answer in answers]
    # A call in flight is answered. A later call is refused, or cancelled before the server has seen it.
    codes = {(answer.status_code, answer.json().get("code")) for answer in results}
    assert codes <= {(201, None), (503, 14), (499, 1)}
    stored = [answer.json()["id"] for answer in results if answer.is_success]
    assert {wait_until_ended(client, job_id)["status"] for job_id in stored} == {"completed"}


@pytest.mark.slow
def test_jobs_created_while_kafka_is_down_run_when_kafka_is_back(stack: Stack, client: httpx.Client) -> None:
    stack.kill("kafka", 1)
    try:
        ids = [create(client, "compute", {"input": str(number)})["id"] for number in range(20)]
        assert {get(client, job_id)["status"] for job_id in ids} == {"queued"}
    finally:
        stack.start("kafka", 1)
        # On a busy machine Kafka may need longer to start than a worker waits for it. Then the worker ends,
        # perhaps at this moment.
        with suppress(StackError):
            stack.start("worker", 1)
        stack.start("worker", 1)
    assert {wait_until_ended(client, job_id)["status"] for job_id in ids} == {"completed"}


@pytest.mark.slow
def test_without_mongodb_calls_are_unavailable_until_it_is_back(
    stack: Stack, client: httpx.Client, gate: Gate
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id) == [1], "the job runs")
    stack.kill("mongodb", 1)
    try:
        answer = client.post("/jobs", json={"type": "compute", "payload": {"input": ""}})
        assert (answer.status_code, answer.json()["code"]) == (503, 14)
        wait_for(
            lambda: not is_serving(stack.address("api_server")),
            "the API server reports that it is not serving",
        )
        gate.open()
    finally:
        stack.start("mongodb", 1)
    job = wait_until_ended(client, job_id)
    assert (job["status"], job["attempt"]) == ("completed", 1)
    assert wait_until_ended(client, create(client, "compute", {"input": "x"})["id"])["status"] == "completed"


def test_a_worker_that_is_stopped_releases_its_jobs(stack: Stack, client: httpx.Client, gate: Gate) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id) == [1], "the job runs")
    stack.stop("worker", 1)
    job = wait_for_status(client, job_id, "queued")
    assert (job["attempt"], job["workerId"]) == (1, "")
    stack.start("worker", 1)
    wait_for(lambda: gate.runs(job_id) == [1, 2], "the job runs again")
    gate.open()
    assert wait_until_ended(client, job_id)["result"] == {"attempt": 2}


def test_stop_lets_running_jobs_end_and_holds_for_workers_that_start_later(
    stack: Stack, client: httpx.Client, control: httpx.Client, gate: Gate
) -> None:
    running = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(running) == [1], "the job runs")
    stopped = control.post("/stop").json()
    assert (stopped["consuming"], stopped["pendingWorkerIds"]) == (False, [])
    try:
        waiting = create(client, "compute", {"input": "later"})["id"]
        stack.start("worker", 2)
        gate.open()
        assert wait_until_ended(client, running)["status"] == "completed"
        state = wait_for(lambda: both_paused(control), "both workers report that they are paused")
        assert not state["consuming"]
        assert get(client, waiting)["status"] == "queued"
    finally:
        control.post("/start")
        stack.stop("worker", 2)
    assert wait_until_ended(client, waiting)["status"] == "completed"


def both_paused(control: httpx.Client) -> dict[str, Any] | None:
    state: dict[str, Any] = control.get("/state").json()
    live = [worker for worker in state["workers"] if worker["report"]["state"] != "lost"]
    names = {worker["identity"]["name"] for worker in live if worker["report"]["state"] == "paused"}
    return state if {"worker-1", "worker-2"} <= names else None


def test_every_log_line_of_a_service_is_one_json_object(stack: Stack) -> None:
    for part in ("api_server", "worker"):
        # The last line may be incomplete.
        lines = stack.log_file(part, 1).read_text().split("\n")[:-1]
        assert lines
        for line in lines:
            assert isinstance(json.loads(line), dict)
