"""How a real worker process ends: it releases each of its jobs once, and its exit status tells the cause."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, jobs_client, wait_for_status, wait_until_ended, workers_client
from tests.fork_server import ForkServer
from tests.gate import Gate
from tests.waiting import wait_for
from tests.worker_process import WorkerProcess, worker_processes
from worker_service.kafka.closing import CLOSE_SECONDS
from worker_service.worker import CLAIM_SECONDS

NUMBER = 3
END_DEADLINE = 60.0
LONG_DRAIN = 24.0
SOON_HOPELESS = """
import sys
from worker_service.kafka import watchdog
watchdog.HOPELESS_SECONDS = 6.0
from worker_service.__main__ import main
sys.exit(main())
"""
"""A worker that gives up on Kafka after a short time."""

ENDS_OF_AN_OUTCOME = """
import sys
from worker_service.reporting import reporter
make_error = reporter._job_error

def job_error(reason, message):
    if "unspeakable" in message:
        raise KeyError(message)
    return make_error(reason, message)

reporter._job_error = job_error
from worker_service.__main__ import main
sys.exit(main())
"""
"""A worker with a fault: the outcome of one job ends it."""


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with jobs_client(stack) as client:
        yield client


@pytest.fixture(scope="module")
def workerless(stack: Stack) -> Iterator[Stack]:
    """The stack without its own worker, so that each test has the one that it starts."""
    stack.stop("worker", 1)
    try:
        yield stack
    finally:
        stack.start("worker", 1)


@pytest.fixture
def start_worker(
    workerless: Stack, fork_server: ForkServer, tmp_path: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts the only worker. Takes arguments of Python and more settings. Returns when the worker serves."""

    def start(
        *arguments: str, environment: Mapping[str, str] | None = None, log: Path | None = None
    ) -> WorkerProcess:
        return processes.start_serving(NUMBER, *arguments, environment=environment, log=log)

    with worker_processes(workerless, fork_server, tmp_path) as processes:
        yield start


def run_one_of_each(client: httpx.Client, gate: Gate, *job_types: str) -> list[str]:
    """Create a job of each type and wait until all are running. Returns their ids."""
    ids = [create(client, job_type, gate.payload)["id"] for job_type in job_types]
    wait_for(lambda: all(gate.runs(job_id) for job_id in ids), "the jobs run")
    return ids


def assert_released(client: httpx.Client, ids: list[str]) -> None:
    for job_id in ids:
        job = wait_for_status(client, job_id, "queued")
        assert (job["attempt"], job["workerId"]) == (1, "")


@pytest.fixture
def standing_reader(tmp_path: Path) -> Iterator[Path]:
    """A pipe that is full, and whose reader does not read."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    number = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(number, b"x" * 4096)
    yield path
    os.close(number)


@pytest.mark.parametrize("log", ["/dev/full", pytest.param("standing_reader", marks=pytest.mark.slow)])
def test_a_worker_whose_log_cannot_be_written_runs_its_jobs_and_ends_in_order(
    client: httpx.Client,
    gate: Gate,
    start_worker: Callable[..., WorkerProcess],
    request: pytest.FixtureRequest,
    log: str,
) -> None:
    worker = start_worker(log=Path(log) if log.startswith("/") else request.getfixturevalue(log))
    ids = run_one_of_each(client, gate, "gated", "gated-thread", "gated-process")
    broken = create(client, "broken", {"text": "x" * 100_000}, retryPolicy={"maxAttempts": 1})
    assert wait_until_ended(client, broken["id"])["status"] == "failed"
    gate.open()
    for job_id in ids:
        assert wait_until_ended(client, job_id)["status"] == "completed"
    worker.process.terminate()
    assert worker.process.wait(END_DEADLINE) == 0


@pytest.mark.parametrize("fault", ["freeze", pytest.param("kill", marks=pytest.mark.slow)])
def test_a_worker_that_is_asked_to_end_while_kafka_is_away_releases_all_its_jobs(
    stack: Stack,
    client: httpx.Client,
    gate: Gate,
    start_worker: Callable[..., WorkerProcess],
    fault: str,
) -> None:
    worker = start_worker()
    ids = run_one_of_each(client, gate, "gated", "gated-thread")
    getattr(stack, fault)("kafka")
    try:
        worker.process.terminate()
        assert worker.process.wait(END_DEADLINE) == 0
        assert_released(client, ids)
    finally:
        {"freeze": stack.thaw, "kill": stack.start}[fault]("kafka")
    [drained] = [event for event in worker.events() if event["event"] == "drained"]
    assert drained["released"] == 2


def test_a_draining_worker_gives_its_partitions_to_others_before_it_waits_for_its_jobs(
    stack: Stack,
    client: httpx.Client,
    gate: Gate,
    start_worker: Callable[..., WorkerProcess],
) -> None:
    worker = start_worker(environment={"WORKER_DRAIN_TIMEOUT": f"{LONG_DRAIN:.0f}"})
    [running] = run_one_of_each(client, gate, "gated")
    stack.start("worker", 1)
    try:
        wait_for(lambda: len(consumers_of(stack, "jobs.compute")) == 2, "both have partitions")

        worker.process.terminate()
        ids = [create(client, "compute", {"input": "for the other worker"})["id"] for _ in range(20)]

        wait_for(
            lambda: all(get(client, job_id)["status"] == "completed" for job_id in ids),
            "the other runs them",
            LONG_DRAIN / 3,
        )
        assert get(client, running)["status"] == "processing"
        gate.open()
        assert worker.process.wait(END_DEADLINE) == 0
        assert wait_until_ended(client, running)["attempt"] == 1
    finally:
        stack.stop("worker", 1)


def consumers_of(stack: Stack, topic: str) -> list[str]:
    """The workers that have partitions of a topic."""
    with workers_client(stack) as control:
        workers: list[dict[str, Any]] = control.get("/state").json()["workers"]
    return [
        worker["identity"]["name"]
        for worker in workers
        if any(each["topic"] == topic for each in worker["report"]["assignments"])
    ]


@pytest.mark.slow
def test_a_job_in_a_thread_is_released_when_its_process_is_about_to_end(
    stack: Stack, client: httpx.Client, gate: Gate, start_worker: Callable[..., WorkerProcess]
) -> None:
    worker = start_worker()
    [job_id] = run_one_of_each(client, gate, "gated-thread")
    # Without Kafka, leaving the group takes the worker some seconds.
    stack.freeze("kafka")
    try:
        worker.process.terminate()
        assert_released(client, [job_id])
        assert worker.process.wait(CLOSE_SECONDS - 1) == 0
    finally:
        stack.thaw("kafka")


@pytest.mark.slow
def test_a_job_whose_claim_has_no_answer_when_the_worker_ends_is_released(
    stack: Stack, client: httpx.Client, gate: Gate, start_worker: Callable[..., WorkerProcess]
) -> None:
    worker = start_worker()
    worker.freeze()
    job_id = create(client, "gated", gate.payload)["id"]
    stack.freeze("mongodb")
    try:
        worker.thaw()
        wait_for(lambda: "status_updates_failed" in worker.names(), "it has tried to claim the job")
        worker.process.terminate()
        wait_for(lambda: "draining" in worker.names(), "it drains")
        time.sleep(CLAIM_SECONDS + 1)
    finally:
        stack.thaw("mongodb")

    assert worker.process.wait(END_DEADLINE) == 0
    assert wait_for_status(client, job_id, "queued")["workerId"] == ""
    assert gate.runs(job_id) == []
    [drained] = [event for event in worker.events() if event["event"] == "drained"]
    assert (drained["released"], drained["superseded"]) == (1, 0)


@pytest.mark.slow
def test_a_job_whose_handler_does_not_stop_is_released_once_and_the_worker_ends(
    client: httpx.Client, gate: Gate, start_worker: Callable[..., WorkerProcess]
) -> None:
    worker = start_worker()
    ids = run_one_of_each(client, gate, "stubborn")

    worker.process.terminate()

    assert worker.process.wait(END_DEADLINE) == 0
    assert_released(client, ids)
    [drained] = [event for event in worker.events() if event["event"] == "drained"]
    assert (drained["released"], drained["superseded"]) == (1, 0)
    assert "ended_with_tasks_left" in worker.names()


def test_a_handler_that_blocks_the_event_loop_for_longer_than_the_lease_fails_alone(
    client: httpx.Client, gate: Gate, start_worker: Callable[..., WorkerProcess]
) -> None:
    # The lease is 3 s.
    worker = start_worker(environment={"WORKER_LOOP_TIMEOUT": "6"})
    [neighbour] = run_one_of_each(client, gate, "gated")
    blocking = create(client, "blocking", gate.payload, retryPolicy={"maxAttempts": 1})["id"]
    wait_for(lambda: gate.runs(blocking), "it blocks the loop")
    assert (
        wait_until_ended(client, create(client, "file", {"path": "no-such-file"})["id"])["status"] == "failed"
    )

    failed = wait_until_ended(client, blocking)
    gate.open()
    ended = wait_until_ended(client, neighbour)

    assert (failed["status"], failed["attempt"], failed["error"]["reason"]) == ("failed", 1, "LOOP_BLOCKED")
    assert (ended["status"], ended["attempt"]) == ("completed", 1)
    logged = [event for event in worker.events() if event["event"] == "handler_loop_blocked"]
    assert logged[0]["job_id"] == blocking
    assert "in blocking" in logged[0]["stack"]
    worker.process.terminate()
    assert worker.process.wait(END_DEADLINE) == 0


@pytest.mark.slow
def test_a_worker_whose_event_loop_stays_blocked_releases_its_jobs_and_fails(
    client: httpx.Client, gate: Gate, start_worker: Callable[..., WorkerProcess]
) -> None:
    worker = start_worker(environment={"WORKER_LOOP_TIMEOUT": "2"})
    ids = run_one_of_each(client, gate, "gated")
    blocking = create(client, "blocking", gate.payload, retryPolicy={"maxAttempts": 1})["id"]
    wait_for(lambda: gate.runs(blocking), "it blocks the loop")
    inline = create(client, "compute", {"input": "behind it"})["id"]

    assert worker.process.wait(END_DEADLINE) == 1

    assert_released(client, ids)
    assert get(client, inline)["status"] == "queued"
    assert wait_until_ended(client, blocking)["error"]["reason"] == "LOOP_BLOCKED"
    assert {"handler_loop_given_up", "part_failed", "drained"} <= worker.names()


@pytest.mark.slow
def test_a_worker_that_has_lost_kafka_for_good_releases_its_jobs_before_it_fails(
    stack: Stack, client: httpx.Client, gate: Gate, start_worker: Callable[..., WorkerProcess]
) -> None:
    worker = start_worker("-c", SOON_HOPELESS)
    ids = run_one_of_each(client, gate, "gated", "gated-thread")
    stack.freeze("kafka")
    try:
        assert worker.process.wait(END_DEADLINE) == 1
        assert_released(client, ids)
    finally:
        stack.thaw("kafka")
    assert {"part_failed", "drained", "worker_failed"} <= worker.names()


@pytest.mark.slow
def test_a_job_whose_outcome_ends_its_worker_is_lost_together_with_the_jobs_beside_it(
    client: httpx.Client, gate: Gate, start_worker: Callable[..., WorkerProcess]
) -> None:
    worker = start_worker("-c", ENDS_OF_AN_OUTCOME)
    neighbours = run_one_of_each(client, gate, "gated", "gated-thread")
    retry = {"maxAttempts": 1}
    guilty = create(client, "broken", {**gate.payload, "text": "unspeakable"}, retryPolicy=retry)["id"]

    assert worker.process.wait(END_DEADLINE) == 1
    assert {"part_failed", "jobs_left_to_be_lost", "worker_failed"} <= worker.names()
    gate.open()
    start_worker()

    # Any of them may be guilty, so each counts a loss; none uses up a try.
    for job_id in [guilty, *neighbours]:
        job = wait_until_ended(client, job_id)
        assert (job["losses"], job["history"][0]["outcome"]) == (1, "lost")
    assert get(client, guilty)["error"]["message"] == "RuntimeError: unspeakable"
    assert {get(client, job_id)["status"] for job_id in neighbours} == {"completed"}
