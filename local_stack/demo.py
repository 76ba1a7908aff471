"""Sends a job of each type through a running system, as a user would, and checks each answer.

python -m local_stack.demo [HOST:JOBS_PORT HOST:WORKERS_PORT]
"""

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.protobuf.json_format import MessageToDict

from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, job_service_pb2_grpc
from local_stack.endpoints import Endpoints

DEADLINE = 30.0
"""How many seconds one job may take."""
STAYS_QUEUED = 2.0
"""Seconds for which a job must stay queued while the workers are stopped."""
HAIKU = Path(__file__).parent.parent / "examples/files/haiku.txt"
# The transactions of Bitcoin's block 100,000.
TRANSACTIONS = [
    "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
    "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
    "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
    "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
]
MERKLE_ROOT = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"
JOBS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "compute": (
        {"input": "hello"},
        {"hash": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"},
    ),
    "file": (
        {"path": HAIKU.name},
        {"hash": hashlib.sha256(HAIKU.read_bytes()).hexdigest(), "lines": 3},
    ),
    "blockchain": ({"transactions": TRANSACTIONS}, {"merkle_root": MERKLE_ROOT}),
    "data": (
        {"csv": "city,temperature\nOslo,3\nRome,14\nCairo,22\n"},
        {"columns": {"temperature": {"count": 3, "missing": 0, "min": 3, "max": 22, "mean": 13}}},
    ),
}


class DemoFailed(Exception):
    """A result or an answer was wrong; the message says which."""


class Demo:
    """One run of the demo. Raises DemoFailed at the first wrong answer."""

    def __init__(self, endpoints: Endpoints, http: httpx.Client) -> None:
        self._endpoints = endpoints
        self._http = http

    def run(self) -> None:
        for job_type, (payload, expected) in JOBS.items():
            headline(f"A {job_type} job, by REST")
            self._rest_job({"type": job_type, "payload": payload}, expected)
        self._job_by_grpcurl()
        self._job_by_stubs()
        self._stop_and_start()

    def _rest_job(self, body: dict[str, Any], expected: Mapping[str, Any]) -> None:
        job = self._call("POST", f"{self._endpoints.jobs_url}/jobs", body)
        self._check_result(job["id"], expected)

    def _check_result(self, job_id: str, expected: Mapping[str, Any]) -> None:
        url = f"{self._endpoints.jobs_url}/jobs/{job_id}"
        wait_until(lambda: self._http.get(url).json()["status"] in ("completed", "failed"), "the job ends")
        job = self._call("GET", url)
        check(job["status"] == "completed", f"job {job_id} is {job['status']}")
        check(contains(job["result"], expected), f"job {job_id} has a wrong result, expected {expected}")

    def _job_by_grpcurl(self) -> None:
        headline("A compute job, by grpcurl")
        payload, expected = JOBS["compute"]
        request = json.dumps({"type": "compute", "payload": payload})
        command = [
            "grpcurl",
            "-plaintext",
            "-d",
            request,
            self._endpoints.jobs_address,
            "jobs.v1.JobService/Create",
        ]
        show(f"$ grpcurl -plaintext -d '{request}' {command[4]} {command[5]}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        show(done.stdout.strip() or done.stderr.strip())
        check(done.returncode == 0, "grpcurl failed")
        self._check_result(json.loads(done.stdout)["id"], expected)

    def _job_by_stubs(self) -> None:
        headline("A blockchain job, by the Python stubs")
        payload, expected = JOBS["blockchain"]
        request = job_service_pb2.CreateRequest(type="blockchain", labels={"from": "stubs"})
        request.payload.update(payload)
        with grpc.insecure_channel(self._endpoints.jobs_address) as channel:
            stub = job_service_pb2_grpc.JobServiceStub(channel)
            show(">>> job = stub.Create(request)")
            job = stub.Create(request, timeout=10)
            show(
                ">>> job.id, job_pb2.Job.Status.Name(job.status)\n"
                f"{(job.id, job_pb2.Job.Status.Name(job.status))}"
            )
            get = job_service_pb2.GetRequest(id=job.id)
            wait_until(lambda: stub.Get(get).status == job_pb2.Job.completed, "the job is completed")
            result = MessageToDict(stub.Get(get).result)
        show(f">>> stub.Get(GetRequest(id=job.id)).result\n{result}")
        check(contains(result, expected), "the result is wrong")

    def _stop_and_start(self) -> None:
        headline("Stop: a job stays queued. Start: it completes.")
        answer = self._call("POST", f"{self._endpoints.workers_url}/stop", {})
        check(not answer["consuming"] and not answer["pendingWorkerIds"], "a worker did not stop")
        payload, expected = JOBS["compute"]
        job = self._call("POST", f"{self._endpoints.jobs_url}/jobs", {"type": "compute", "payload": payload})
        url = f"{self._endpoints.jobs_url}/jobs/{job['id']}"
        until = time.monotonic() + STAYS_QUEUED
        while time.monotonic() < until:
            check(
                self._http.get(url).json()["status"] == "queued", "the job ran while the workers were stopped"
            )
            time.sleep(0.1)
        self._call("GET", url)
        self._call("POST", f"{self._endpoints.workers_url}/start", {})
        self._check_result(job["id"], expected)
        self._call("GET", f"{self._endpoints.workers_url}/state")

    def _call(self, method: str, url: str, body: dict[str, Any] | None = None) -> Any:
        data = "" if body is None else f" -d '{json.dumps(body)}'"
        show(f"$ curl -s{'' if method == 'GET' else ' -X ' + method} {url}{data}")
        answer = self._http.request(method, url, json=body)
        show(json.dumps(answer.json(), ensure_ascii=False))
        check(answer.is_success, f"{method} {url} answered {answer.status_code}")
        return answer.json()


def run(endpoints: Endpoints) -> bool:
    """Run the demo and print each step. True if every answer was right."""
    try:
        with httpx.Client(timeout=20, trust_env=False) as http:
            Demo(endpoints, http).run()
    except (DemoFailed, httpx.HTTPError, grpc.RpcError) as error:
        show(f"\nThe demo failed: {error}")
        return False
    show("\nEvery job came out right.")
    return True


def headline(text: str) -> None:
    show(f"\n--- {text}")


def show(text: str) -> None:
    print(text, flush=True)


def check(holds: bool, problem: str) -> None:
    if not holds:
        raise DemoFailed(problem)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        check(time.monotonic() < deadline, f"this did not happen within {DEADLINE:g} s: {what}")
        time.sleep(0.05)


def contains(actual: Any, expected: Any) -> bool:
    """Whether `actual` has everything in `expected`. Objects are compared key by key."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return all(key in actual and contains(actual[key], value) for key, value in expected.items())
    return bool(actual == expected)


def main(arguments: list[str]) -> int:
    if len(arguments) not in (0, 2):
        print(__doc__)
        return 2
    endpoints = Endpoints(*(arguments or ("127.0.0.1:3000", "127.0.0.1:4000")))
    return 0 if run(endpoints) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
