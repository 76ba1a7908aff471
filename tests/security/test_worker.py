"""The worker's own port asks for a token and passes it on; the worker's own token is for its own calls."""

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from contract_runtime.limits import WORKER_SERVICE
from job_client import JobClient
from job_client._gen.jobs.v1.worker_service_pb2 import GetStateRequest
from job_client._gen.jobs.v1.worker_service_pb2_grpc import WorkerServiceStub
from tests.e2e.rest import PATIENCE
from tests.security.calls import BROKEN, CALL_SECONDS, authorization
from tests.security.conftest import Guarded
from tests.security.test_roles import bearer, reason_of
from tests.waiting import wait_for


@pytest.fixture
def workers(guarded: Guarded) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.stack.endpoints.workers_url, timeout=PATIENCE) as client:
        yield client


def test_a_worker_registers_with_its_token(guarded: Guarded, workers: httpx.Client) -> None:
    def names() -> set[str]:
        state = workers.get("/state", headers=bearer(guarded.tokens["reader"])).json()
        return {worker["identity"]["name"] for worker in state["workers"]}

    wait_for(lambda: "guarded" in names(), "the worker is registered")


def test_a_submitter_runs_a_job(guarded: Guarded) -> None:
    with JobClient(guarded.stack.endpoints.jobs_address, token=guarded.tokens["submitter"]) as client:
        assert client.run("compute", {"input": "hello"}, timeout=PATIENCE)["hash"]


@pytest.mark.parametrize("path", ["/start", "/stop"])
def test_only_an_operator_starts_and_stops_workers(
    guarded: Guarded, workers: httpx.Client, path: str
) -> None:
    nobody = {"worker": "no-such-worker"}
    assert reason_of(workers.post(path, json=nobody)) == "TOKEN_MISSING"
    invalid = workers.post(path, json=nobody, headers=bearer(guarded.invalid["unknown"]))
    assert (invalid.status_code, reason_of(invalid)) == (401, "TOKEN_INVALID")
    assert invalid.headers["www-authenticate"] == 'Bearer realm="jobs"'
    for role in ("reader", "submitter", "worker"):
        denied = workers.post(path, json=nobody, headers=bearer(guarded.tokens[role]))
        assert (denied.status_code, reason_of(denied)) == (403, "ROLE_MISSING")
    allowed = workers.post(path, json=nobody, headers=bearer(guarded.tokens["operator"]))
    assert allowed.status_code == (200 if path == "/start" else 404)


async def test_the_workers_port_asks_before_it_decodes(guarded: Guarded) -> None:
    async with grpc.aio.insecure_channel(guarded.stack.address("worker")) as channel:
        for method in WORKER_SERVICE.methods:
            call: Any = channel.unary_unary(f"/{WORKER_SERVICE.full_name}/{method.name}")
            codes = [
                await call(BROKEN, metadata=each, timeout=CALL_SECONDS).code()
                for each in ((), authorization("Basic x"), authorization("Bearer x", "Bearer x"))
            ]
            assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 3
        operator = authorization(f"Bearer {guarded.tokens['operator']}")
        state = await WorkerServiceStub(channel).GetState(GetStateRequest(), metadata=operator)
        assert state.consuming
