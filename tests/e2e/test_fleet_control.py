"""Stops of one worker, of one type and of all, by REST, and what each of them leaves going."""

import os
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from job_client._gen.jobs.v1.worker_service_pb2 import StopRequest
from job_client._gen.jobs.v1.worker_service_pb2_grpc import WorkerServiceStub
from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, wait_for_status, wait_until_ended, workers_client
from tests.e2e.rest import error_of
from tests.gate import Gate
from tests.waiting import wait_for


@pytest.fixture
def control(stack: Stack) -> Iterator[httpx.Client]:
    """Everybody takes everything again at the end."""
    with workers_client(stack) as control:
        yield control
        assert control.post("/start").is_success


@pytest.fixture
def second_worker(stack: Stack) -> Iterator[str]:
    """The name of one more worker, beside worker-1."""
    stack.start("worker", 2)
    yield "worker-2"
    stack.stop("worker", 2)


def ask(control: httpx.Client, path: str, **part: str) -> dict[str, Any]:
    """Start or Stop, which all workers must have followed when it answers."""
    answer = control.post(path, json=part)
    assert answer.is_success, answer.text
    told: dict[str, Any] = answer.json()
    assert told.pop("pendingWorkerIds") == []
    return told


def states(control: httpx.Client) -> dict[str, str]:
    """What each worker that lives is doing, by name."""
    workers = control.get("/state").json()["workers"]
    return {
        worker["identity"]["name"]: worker["report"]["state"]
        for worker in workers
        if worker["report"]["state"] != "lost"
    }


def desired(
    consuming: bool = True, workers: tuple[str, ...] = (), types: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {"consuming": consuming, "stoppedWorkers": list(workers), "stoppedTypes": list(types)}


def takers(client: httpx.Client, count: int = 20) -> set[str]:
    """Names of the workers that run some of so many new jobs."""
    ids = [create(client, "compute", {"input": ""})["id"] for _ in range(count)]
    return {name_of(wait_until_ended(client, job_id)) for job_id in ids}


def name_of(job: dict[str, Any]) -> str:
    """Of the worker that had the job last."""
    return str(job["workerId"].split("/")[0])


def test_a_stopped_worker_takes_nothing_until_it_is_started_and_others_take_all(
    stack: Stack, client: httpx.Client, control: httpx.Client, second_worker: str
) -> None:
    wait_for(lambda: takers(client) == {"worker-1", second_worker}, "both take jobs")

    assert ask(control, "/stop", worker=second_worker) == desired(workers=(second_worker,))
    expected = {"worker-1": "consuming", second_worker: "paused"}
    wait_for(lambda: states(control) == expected, "one says that it pauses")
    assert takers(client) == {"worker-1"}

    stack.kill("worker", 2)
    stack.start("worker", 2)
    wait_for(lambda: states(control) == expected, "it pauses after a restart, too")
    assert takers(client) == {"worker-1"}

    assert ask(control, "/start", worker=second_worker) == desired()
    wait_for(lambda: takers(client) == {"worker-1", second_worker}, "both take jobs again")


def test_a_stopped_worker_finishes_what_it_has(
    client: httpx.Client, control: httpx.Client, gate: Gate, second_worker: str
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    holder = name_of(wait_for_status(client, job_id, "processing"))

    ask(control, "/stop", worker=holder)
    assert takers(client) == {"worker-1", second_worker} - {holder}
    gate.open()

    job = wait_until_ended(client, job_id)
    assert (job["status"], job["attempt"], name_of(job)) == ("completed", 1, holder)


@pytest.mark.slow
def test_what_waits_in_a_worker_that_is_stopped_goes_to_the_others(
    client: httpx.Client, control: httpx.Client, gate: Gate, second_worker: str
) -> None:
    threads = os.cpu_count() or 1
    ids = [create(client, "gated-thread", gate.payload)["id"] for _ in range(10 * threads)]

    def in_hand() -> dict[str, str]:
        jobs = [get(client, job_id) for job_id in ids]
        return {job["id"]: name_of(job) for job in jobs if job["status"] == "processing"}

    held = wait_for(lambda: len(found := in_hand()) == 2 * threads and found, "all threads are taken")
    ask(control, "/stop", worker=second_worker)
    gate.open()

    ended = [wait_until_ended(client, job_id) for job_id in ids]
    assert {(job["status"], job["attempt"]) for job in ended} == {("completed", 1)}
    of_the_second = {job_id for job_id, name in held.items() if name == second_worker}
    assert {job["id"] for job in ended if name_of(job) == second_worker} == of_the_second


def test_a_stopped_type_waits_while_others_of_its_lane_go_on(
    client: httpx.Client, control: httpx.Client, gate: Gate
) -> None:
    assert ask(control, "/stop", type="gated") == desired(types=("gated",))
    waiting = [create(client, "gated", gate.payload)["id"] for _ in range(5)]
    # Of the same lane as the stopped type.
    broken = [create(client, "broken", {}, retryPolicy={"maxAttempts": 1})["id"] for _ in range(20)]

    assert {wait_until_ended(client, job_id)["status"] for job_id in broken} == {"failed"}
    wait_for(lambda: states(control) == {"worker-1": "consuming"}, "it takes jobs of other types")
    assert {get(client, job_id)["status"] for job_id in waiting} == {"queued"}
    assert control.get("/state").json()["stoppedTypes"] == ["gated"]

    gate.open()
    assert ask(control, "/start", type="gated") == desired()
    ended = [wait_until_ended(client, job_id) for job_id in waiting]
    assert {(job["status"], job["attempt"]) for job in ended} == {("completed", 1)}


@pytest.mark.slow
def test_a_type_is_taken_again_once_no_stop_holds_for_it(client: httpx.Client, control: httpx.Client) -> None:
    assert ask(control, "/stop", type="compute") == desired(types=("compute",))
    assert ask(control, "/stop", worker="worker-1") == desired(workers=("worker-1",), types=("compute",))
    waiting = create(client, "compute", {"input": "x"})["id"]

    assert ask(control, "/start", worker="worker-1") == desired(types=("compute",))
    other = create(client, "data", {"records": []})["id"]
    wait_until_ended(client, other)
    assert get(client, waiting)["status"] == "queued"

    assert ask(control, "/start", type="compute") == desired()
    assert wait_until_ended(client, waiting)["status"] == "completed"


def test_start_without_a_name_clears_every_stop(client: httpx.Client, control: httpx.Client) -> None:
    ask(control, "/stop", type="compute")
    ask(control, "/stop", worker="worker-1")
    assert ask(control, "/stop") == desired(consuming=False, workers=("worker-1",), types=("compute",))
    waiting = create(client, "compute", {"input": "x"})["id"]
    assert states(control) == {"worker-1": "paused"}

    assert ask(control, "/start") == desired()

    assert wait_until_ended(client, waiting)["status"] == "completed"


@pytest.mark.parametrize("path", ["/start", "/stop"])
def test_a_type_that_the_server_does_not_have_is_refused(control: httpx.Client, path: str) -> None:
    body = error_of(control.post(path, json={"type": "nonsense"}), 400, 3)

    [violation] = body["details"][0]["fieldViolations"]
    assert violation["field"] == "type"
    assert control.get("/state").json()["stoppedTypes"] == []


def test_a_stop_of_a_worker_that_nobody_knows_is_refused(stack: Stack, control: httpx.Client) -> None:
    name = f"nobody-{uuid4().hex[:8]}"
    body = error_of(control.post("/stop", json={"worker": name}), 404, 5)
    assert body["details"][0]["reason"] == "WORKER_NOT_FOUND"

    with grpc.insecure_channel(stack.endpoints.workers_address) as channel:
        stub: Any = WorkerServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Stop(StopRequest(worker=name), timeout=10)
    info = ErrorInfo()
    assert rpc_status.from_call(caught.value).details[0].Unpack(info)
    assert info.reason == "WORKER_NOT_FOUND"
    assert control.get("/state").json()["stoppedWorkers"] == []


def test_a_start_of_a_worker_that_nobody_knows_is_harmless(control: httpx.Client) -> None:
    assert ask(control, "/start", worker=f"nobody-{uuid4().hex[:8]}") == desired()


@pytest.mark.parametrize("part", [{"worker": "worker-1", "type": "compute"}, {"worker": ""}, {"type": ""}])
def test_a_part_that_is_none_is_refused(control: httpx.Client, part: dict[str, str]) -> None:
    error_of(control.post("/stop", json=part), 400, 3)

    state = control.get("/state").json()
    assert (state["consuming"], state["stoppedWorkers"], state["stoppedTypes"]) == (True, [], [])


def test_a_part_that_is_two_is_refused_in_plain_words(control: httpx.Client) -> None:
    body = error_of(control.post("/stop", json={"worker": "worker-1", "type": "compute"}), 400, 3)
    assert body["message"] == "set only one of worker, type and all"
