"""Only one live worker has a name, and the successor of a dead worker takes over its jobs at once."""

import re
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_stack.stack import Stack
from tests.conftest import API_SERVER
from tests.e2e.jobs_api import create, get, jobs_client, wait_for_status, wait_until_ended, workers_client
from tests.fork_server import ForkServer
from tests.gate import Gate
from tests.waiting import wait_for
from tests.worker_process import WorkerProcesses, worker_processes

LONG_LEASE = 90.0
END_DEADLINE = 60.0
OWN_NAME = {"WORKER_NAME": ""}
"""No name is set, so the process chooses one."""


@pytest.fixture(scope="module")
def patient(stack: Stack) -> Iterator[Stack]:
    """The stack with leases longer than a test, so that no job is released by an expired lease."""
    restart_api_server(stack, {**API_SERVER, "JOB_LEASE": f"{LONG_LEASE:g}"})
    try:
        yield stack
    finally:
        restart_api_server(stack, API_SERVER)


def restart_api_server(stack: Stack, environment: Mapping[str, str]) -> None:
    """Returns when calls through the gateway are answered again."""
    stack.stop("api_server")
    stack.set_environment("api_server", 1, environment)
    stack.up()


@pytest.fixture
def client(patient: Stack) -> Iterator[httpx.Client]:
    with jobs_client(patient) as client:
        yield client


@pytest.fixture
def processes(patient: Stack, fork_server: ForkServer, tmp_path: Path) -> Iterator[WorkerProcesses]:
    with worker_processes(patient, fork_server, tmp_path) as processes:
        yield processes


def names(stack: Stack) -> set[str]:
    """The names of the live workers."""
    with workers_client(stack) as control:
        workers: list[dict[str, Any]] = control.get("/state").json()["workers"]
    return {worker["identity"]["name"] for worker in workers if worker["report"]["state"] == "consuming"}


def test_two_workers_on_one_host_choose_different_names(
    patient: Stack, processes: WorkerProcesses, tmp_path: Path
) -> None:
    own = {**OWN_NAME, "TMPDIR": str(tmp_path)}
    for number in (2, 3):
        processes.start(number, environment=own)

    expected = {f"{socket.gethostname()}-{number}" for number in (1, 2)}
    wait_for(lambda: expected <= names(patient), "both workers consume")


def test_a_live_holder_is_never_evicted(
    patient: Stack, client: httpx.Client, processes: WorkerProcesses, gate: Gate
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    holder = wait_for_status(client, job_id, "processing")["workerId"]
    assert holder.startswith("worker-1/")

    newcomer = processes.start(2, environment={"WORKER_NAME": "worker-1"})

    assert newcomer.process.wait(END_DEADLINE) == 2
    [pid] = [part.pid for part in patient.status() if (part.name, part.number) == ("worker", 1)]
    assert newcomer.told() == [
        f"WORKER_NAME: 'worker-1' is the name of a worker that runs: process {pid} on {socket.gethostname()}"
    ]
    assert {"registered", "consuming"}.isdisjoint(newcomer.names())
    gate.open()
    job = wait_until_ended(client, job_id)
    assert (job["status"], job["attempt"], job["workerId"]) == ("completed", 1, holder)


def test_a_killed_worker_s_job_is_run_by_its_successor_before_the_lease_ends(
    patient: Stack, client: httpx.Client, gate: Gate
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id) == [1], "the job runs")
    patient.kill("worker", 1)
    begin = time.monotonic()
    patient.start("worker", 1)

    wait_for(lambda: gate.runs(job_id) == [1, 2], "the successor runs the job", LONG_LEASE / 2)

    assert time.monotonic() - begin < LONG_LEASE / 6
    gate.open()
    job = wait_until_ended(client, job_id)
    assert (job["status"], job["attempt"]) == ("completed", 2)
    assert "dead_members_removed" in patient.log_file("worker", 1).read_text()


def test_a_drained_worker_frees_its_name_at_once(processes: WorkerProcesses) -> None:
    for _ in range(2):
        worker = processes.start_serving(2)
        worker.process.terminate()
        assert worker.process.wait(END_DEADLINE) == 0

        assert {"registered", "drained"} <= worker.names()
        assert {"name_not_free_yet", "dead_members_removed"}.isdisjoint(worker.names())


@pytest.mark.slow
def test_a_frozen_worker_that_has_lost_its_name_ends_when_it_is_thawed(
    patient: Stack, client: httpx.Client, processes: WorkerProcesses, gate: Gate
) -> None:
    patient.stop("worker", 1)
    try:
        frozen = processes.start_serving(2)
        job_id = create(client, "gated", gate.payload)["id"]
        wait_for(lambda: gate.runs(job_id) == [1], "the job runs")
        frozen.freeze()

        successor = processes.start(3, environment={"WORKER_NAME": "worker-2"})
        wait_for(lambda: gate.runs(job_id) == [1, 2], "the successor runs the job")
        frozen.thaw()

        assert frozen.process.wait(END_DEADLINE) == 2
        [message] = frozen.told()
        assert re.search(rf"'worker-2' .*: process {successor.process.pid} on ", message)
        assert successor.process.poll() is None
        gate.open()
        job = wait_until_ended(client, job_id)
        assert (job["status"], job["attempt"], job["result"]) == ("completed", 2, {"attempt": 2})
        assert get(client, job_id)["workerId"] == job["workerId"]
    finally:
        patient.start("worker", 1)
