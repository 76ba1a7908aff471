"""Checks a system that `docker compose` runs: what only real containers can show.

python -m deploy.compose_checks HOST:JOBS_PORT HOST:WORKERS_PORT

It kills and stops containers of the Compose project that the environment names. It ends at the first check
that fails, with status 1.
"""

import base64
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from job_client import JobClient, JobHandle

GRACE = 30
"""Seconds: stop_grace_period of the services in docker-compose.yml."""
DEADLINE = 120.0
# What each image has in its folder of programs: no tests, no docs, no history.
PROGRAMS = {
    "api-server": {"api_server", "contract_runtime", "deploy", "gen", "job_client", "service_runtime"},
    "worker-service": {"contract_runtime", "gen", "job_client", "service_runtime", "worker_service"},
}
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
COMPOSE = shlex.split(os.environ.get("DOCKER_COMPOSE", "docker compose"))


def compose(*arguments: str) -> str:
    return run(*COMPOSE, *arguments)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout.strip()


def check(holds: object, problem: str) -> None:
    if not holds:
        raise SystemExit(f"The check failed: {problem}")


def wait_until(holds: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not holds():
        check(time.monotonic() < end, f"not within {DEADLINE:g} s: {what}")
        time.sleep(0.2)


@contextmanager
def step(title: str) -> Iterator[None]:
    print(f"--- {title}", flush=True)
    begin = time.monotonic()
    yield
    print(f"    right, after {time.monotonic() - begin:.1f} s", flush=True)


def containers(service: str, *, all_: bool = False) -> list[str]:
    return compose("ps", "--quiet", *(["--all"] if all_ else []), service).split()


def images_hold_what_they_need() -> None:
    for service, programs in PROGRAMS.items():
        found = set(compose("exec", "-T", service, "ls", "-A", "/app").split())
        # Mounted handlers appear beside them.
        found -= {"thumbnails.py", "nap_handlers.py"}
        check(found == programs, f"/app of {service} has {sorted(found)}")
        source = "import pathlib; print([str(p) for p in pathlib.Path('/app').rglob('__pycache__')])"
        check(compose("exec", "-T", service, "python", "-c", source) == "[]", f"{service} has __pycache__")


def containers_are_confined() -> None:
    # The capabilities that a process has, and could gain; and whether programs can give it more rights.
    expected = {"CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}
    for service in ("api-server", "worker-service", "gateway", "mongo", "kafka"):
        lines = compose("exec", "-T", service, "cat", "/proc/1/status").splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        found = {name: status[name] for name in expected}
        check(found == expected, f"{service} has {found}")
        check(status["Uid"].split()[0] != "0", f"{service} runs as root")
        written = subprocess.run(
            (*COMPOSE, "exec", "-T", service, "touch", "/new"), capture_output=True, check=False
        )
        check(b"Read-only" in written.stderr, f"{service} can write to its image")


def handlers_reach_no_database() -> None:
    mongo = containers("mongo")[0]
    address = run(
        "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", mongo
    )
    for host in ("mongo", address):
        source = f"""
import socket
try:
    socket.create_connection(({host!r}, 27017), 3)
except OSError as error:
    print("refused:", error)
"""
        answer = compose("exec", "-T", "worker-service", "python", "-c", source)
        check(answer.startswith("refused:"), f"a worker reaches MongoDB at {host}")


def pages_are_served(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        check(http.get("/").headers.get("location") == "/ui/", "/ does not lead to the dashboard")
        for path in ("/ui/", "/ui/jobs", "/api", "/ui/js/main.js", "/api/rapidoc.min.js"):
            check(http.get(path).status_code == 200, f"GET {path} is not answered with 200")
        check(http.get("/openapi.json").json()["openapi"].startswith("3.1"), "/openapi.json is no document")
        registered = {each["type"] for each in http.get("/types").json()["types"]}
        check({"compute", "thumbnail", "nap"} <= registered, f"/types has {sorted(registered)}")


def the_command_works(jobs_address: str) -> None:
    command = (sys.executable, "-m", "job_client.cli")
    os.environ["JOBS_URL"] = f"http://{jobs_address}"
    answer = json.loads(run(*command, "submit", "compute", "input=hello", "--wait"))
    check(answer["hash"].startswith("2cf24dba"), f"jobctl submit printed {answer}")
    check("nap" in run(*command, "types"), "jobctl types does not show the type nap")


def handlers_of_ones_own_run(client: JobClient) -> None:
    result = client.run("thumbnail", {"content": base64.b64encode(PICTURE).decode()}, timeout=DEADLINE)
    check(result == {"width": 1, "height": 1}, f"the thumbnail is {result}")
    statuses = [job.status.value for job in client.submit("nap", {"seconds": 1.0}).watch(timeout=DEADLINE)]
    check(statuses[-1] == "completed", f"a watch showed {statuses}")


def naps(client: JobClient, count: int, seconds: float) -> list[JobHandle[dict[str, Any]]]:
    handles = [client.submit("nap", {"seconds": seconds}) for _ in range(count)]
    wait_until(lambda: handles[-1].get().status.value == "processing", "the jobs run")
    return handles


def all_complete(handles: list[JobHandle[dict[str, Any]]]) -> None:
    for handle in handles:
        job = handle.wait(timeout=DEADLINE)
        check(job.status.value == "completed", f"job {job.id} is {job.status.value}: {job.error}")


def killed_containers_lose_no_job(client: JobClient) -> None:
    handles = naps(client, 30, 5.0)
    killed = [containers("worker-service")[0], containers("api-server")[0]]
    for each in killed:
        run("docker", "kill", each)
    # Calls of other clients go on.
    check(client.run("compute", {"input": "hello"}, timeout=DEADLINE), "no result")
    for each in killed:
        run("docker", "start", each)
    all_complete(handles)
    compose("up", "-d", "--wait", "--no-recreate", "--scale", "worker-service=3", "--scale", "api-server=2")


def stopped_workers_drain(client: JobClient) -> None:
    handles = naps(client, 30, 3.0)
    begin = time.monotonic()
    compose("stop", "worker-service")
    took = time.monotonic() - begin
    check(took < GRACE, f"the workers took {took:.1f} s to stop")
    for each in containers("worker-service", all_=True):
        status = run("docker", "inspect", "--format", "{{.State.ExitCode}}", each)
        check(status == "0", f"worker {each} ended with status {status}")
    compose("start", "worker-service")
    all_complete(handles)
    check(all(handle.get().attempt == 1 for handle in handles), "a job that could end has run twice")


def stopped_api_servers_end_in_order() -> None:
    compose("stop", "api-server")
    for each in containers("api-server", all_=True):
        status = run("docker", "inspect", "--format", "{{.State.ExitCode}}", each)
        check(status == "0", f"API server {each} ended with status {status}")


def main(jobs_address: str, workers_address: str) -> None:
    with JobClient(jobs_address, control_address=workers_address) as client:
        with step("Images hold what they need, and no more"):
            images_hold_what_they_need()
        with step("Containers are confined, and handlers do not reach MongoDB"):
            containers_are_confined()
            handlers_reach_no_database()
        with step("Dashboard, API document and types"):
            pages_are_served(f"http://{jobs_address}")
        with step("The command jobctl"):
            the_command_works(jobs_address)
        with step("Handlers with packages of their own, and a watch"):
            handlers_of_ones_own_run(client)
        with step("Containers that are killed lose no job"):
            killed_containers_lose_no_job(client)
        with step("Workers that are stopped let their jobs end"):
            stopped_workers_drain(client)
    with step("API servers that are stopped end in order"):
        stopped_api_servers_end_in_order()


if __name__ == "__main__":
    main(*sys.argv[1:])
