"""API server and workers with several processes each, on the MongoDB and Kafka of the shared stack."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_stack import services
from local_stack.settings import HOST, ROOT, StackSettings
from local_stack.stack import Stack
from service_runtime.health_probe import is_serving
from tests.conftest import API_SERVER, WORKER
from tests.e2e.jobs_api import create, jobs_client, wait_until_ended, workers_client
from tests.e2e.upstreams import healthy_ports
from tests.fork_server import ForkServer
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

OWN_PORTS = ("api_server_port", "worker_port", "jobs_port", "workers_port")


@pytest.fixture(scope="module")
def double(
    stack: Stack, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """An API server with two processes, two workers with one parent, and a gateway."""
    free = StackSettings.with_free_ports(tmp_path_factory.mktemp("double"))
    ports = {name: getattr(free, name) for name in OWN_PORTS}
    changed = {"data_dir": free.data_dir, "api_server_processes": 2, "worker_count": 2, **ports}
    double = Stack(stack.settings.model_copy(update=changed), spawn=fork_server.spawn)
    double.set_environment("api_server", 1, API_SERVER)
    double.set_environment("worker", 1, {**WORKER, "WORKER_NAME": "double"})
    try:
        for part in ("api_server", "worker", "gateway"):
            double.start(part)
        yield double
    finally:
        double.down()


def events(stack: Stack, part: str) -> list[dict[str, Any]]:
    lines = stack.log_file(part).read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def pid_of(stack: Stack, part: str, number: int) -> int:
    """The pid of the newest process with this number."""
    started = [line for line in events(stack, part) if line["event"] == "process_started"]
    return [int(line["pid"]) for line in started if line["process"] == number][-1]


def all_are_healthy(stack: Stack, cluster: str, ports: range) -> bool:
    return healthy_ports(stack, cluster) == set(ports)


def test_the_gateway_calls_every_process_and_jobs_are_done(double: Stack) -> None:
    settings = double.settings
    for cluster, ports in (
        ("api_server", settings.api_server_ports(1)),
        ("worker_service", settings.worker_ports(1)),
    ):
        wait_for(partial(all_are_healthy, double, cluster, ports), f"{cluster} is healthy")
    with jobs_client(double) as client:
        ids = [create(client, "compute", {"input": str(number)})["id"] for number in range(20)]
        assert {wait_until_ended(client, job_id)["status"] for job_id in ids} == {"completed"}
    with workers_client(double) as client:
        names = {each["identity"]["name"] for each in client.get("/state").json()["workers"]}
    assert {"double-1", "double-2"} <= names
    assert {line["process"] for line in events(double, "worker") if line["event"] == "started"} == {1, 2}


def test_the_other_process_serves_while_one_restarts(double: Stack) -> None:
    victim = pid_of(double, "api_server", 2)
    first, second = (f"{HOST}:{port}" for port in double.settings.api_server_ports(1))
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: pid_of(double, "api_server", 2) != victim, "a new process starts")
    calls = 0
    with jobs_client(double) as client:
        while not is_serving(second):
            assert client.get("/jobs", params={"pageSize": 1}).is_success
            assert create(client, "compute", {"input": "while one restarts"})["status"] == "queued"
            calls += 1
    assert calls
    assert is_serving(first)


@pytest.mark.parametrize(("processes", "status"), [(2, 0), (3, 1)])
def test_the_health_probe_checks_every_process(double: Stack, processes: int, status: int) -> None:
    command = [
        sys.executable,
        "-m",
        "service_runtime.health_probe",
        double.address("api_server"),
        str(processes),
    ]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == status


@pytest.mark.parametrize("part", ["api_server", "worker"])
def test_a_port_that_is_taken_ends_the_service_with_status_two(
    double: Stack, tmp_path: Path, part: str
) -> None:
    description = {"api_server": services.api_server, "worker": services.worker}[part](double.settings, 1)
    log = tmp_path / "log"
    with log.open("wb") as output:
        run = subprocess.run(
            description.command,
            env={**os.environ, **description.environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=60,
            check=False,
        )
    assert run.returncode == 2
    assert f"_PORT: cannot listen on {HOST}:" in log.read_text()


def test_workers_end_cleanly_with_their_parent(double: Stack) -> None:
    pids = [pid_of(double, "worker", number) for number in (1, 2)]
    double.stop("worker")
    ended = {
        line["pid"]: line["ended"] for line in events(double, "worker") if line["event"] == "process_ended"
    }
    assert [ended[pid] for pid in pids] == ["exit status 0", "exit status 0"]


def test_no_api_server_outlives_its_parent(double: Stack) -> None:
    parent = psutil.Process(double.pid("api_server"))
    processes = parent.children()
    assert len(processes) == 2
    parent.kill()
    wait_for(
        lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes),
        "all processes have ended",
    )
