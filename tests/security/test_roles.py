"""Who may call what: each method with each role and each wrong header, past the gateway and through it."""

import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from contract_runtime.roles import Role
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import fleet_service_pb2, job_pb2, job_service_pb2, log_pb2
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceStub
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from tests.conftest import UNWORKED
from tests.e2e.rest import PATIENCE
from tests.security.calls import CALLS, authorization, codes_of, names_for
from tests.security.conftest import Guarded
from tests.waiting import wait_for

DENIED, UNKNOWN = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED
JOB = {"type": UNWORKED, "payload": {}}
SOON = 5.0


@pytest.fixture(scope="module")
def address(guarded: Guarded) -> str:
    return guarded.stack.address("api_server")


@pytest.fixture
def jobs(guarded: Guarded) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded.stack.endpoints.jobs_url, timeout=PATIENCE) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def reason_of(answer: httpx.Response) -> str:
    return str(answer.json()["details"][0]["reason"])


@pytest.mark.parametrize("role", Role)
async def test_a_role_may_call_what_the_contract_says(guarded: Guarded, address: str, role: Role) -> None:
    codes = await codes_of(address, authorization(f"Bearer {guarded.tokens[role]}"))
    may = names_for(role)
    allowed = grpc.StatusCode.INVALID_ARGUMENT
    assert codes == {name: allowed if name in may else DENIED for name in CALLS}


@pytest.mark.parametrize(
    "case",
    ["none", "unknown", "expired", "revoked", "malformed", "other scheme", "two headers", "in one header"],
)
async def test_a_caller_that_is_not_known_may_call_nothing(guarded: Guarded, address: str, case: str) -> None:
    good = f"Bearer {guarded.tokens['operator']}"
    headers: dict[str, tuple[str, ...]] = {
        "none": (),
        "malformed": (good[:-1],),
        "other scheme": (good.replace("Bearer", "Basic"),),
        "two headers": (good, good),
        "in one header": (f"{good},{good}",),
    }
    values = headers.get(case) or ((f"Bearer {guarded.invalid[case]}",) if case in guarded.invalid else ())
    codes = await codes_of(address, authorization(*values))
    assert codes == dict.fromkeys(CALLS, UNKNOWN)


async def test_health_needs_no_token_and_there_is_no_reflection(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert health.status == health_pb2.HealthCheckResponse.SERVING
        # Nothing is written: a client that writes after the end of a call reports INTERNAL.
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
        assert await call.code() == grpc.StatusCode.UNIMPLEMENTED


def test_rest_without_a_valid_token_is_401(guarded: Guarded, jobs: httpx.Client) -> None:
    missing = jobs.post("/jobs", json=JOB)
    assert (missing.status_code, reason_of(missing)) == (401, "TOKEN_MISSING")
    assert missing.headers["www-authenticate"] == 'Bearer realm="jobs"'
    for token in guarded.invalid.values():
        invalid = jobs.get("/jobs", headers=bearer(token))
        assert (invalid.status_code, reason_of(invalid)) == (401, "TOKEN_INVALID")
    good = ("authorization", f"Bearer {guarded.tokens['operator']}")
    assert jobs.get("/jobs", headers=[good, good]).status_code == 401


def test_rest_with_another_role_is_403(guarded: Guarded, jobs: httpx.Client) -> None:
    denied = jobs.post("/jobs", json=JOB, headers=bearer(guarded.tokens["reader"]))
    assert (denied.status_code, reason_of(denied)) == (403, "ROLE_MISSING")
    assert denied.json()["details"][0]["metadata"] == {"role": "reader", "needed": "operator,submitter"}
    assert jobs.get("/jobs", headers=bearer(guarded.tokens["reader"])).status_code == 200
    with jobs.stream("GET", "/jobs:watch", headers=bearer(guarded.tokens["worker"])) as watch:
        assert watch.status_code == 403
    with jobs.stream("GET", "/jobs:watch", headers=bearer(guarded.tokens["reader"])) as watch:
        assert watch.status_code == 200


def test_a_submitter_cancels_and_retries_its_own_jobs_only(guarded: Guarded, jobs: httpx.Client) -> None:
    mine, other, operator = (bearer(guarded.tokens[each]) for each in ("submitter", "other", "operator"))
    created = jobs.post("/jobs", json=JOB, headers=mine)
    assert created.status_code == 201
    assert "owner" not in created.json()
    path = f"/jobs/{created.json()['id']}"
    for action in ("cancel", "retry"):
        denied = jobs.post(f"{path}:{action}", headers=other)
        assert (denied.status_code, reason_of(denied)) == (403, "NOT_YOUR_JOB")
    assert jobs.post(f"{path}:cancel", headers=mine).json()["status"] == "cancelled"
    assert jobs.post(f"{path}:retry", headers=mine).json()["status"] == "queued"
    assert jobs.post(f"{path}:cancel", headers=operator).json()["status"] == "cancelled"
    assert jobs.post(f"/jobs/{uuid.uuid4()}:cancel", headers=mine).status_code == 404


def test_jobs_of_a_batch_have_an_owner_too(guarded: Guarded, jobs: httpx.Client) -> None:
    mine, other = (bearer(guarded.tokens[each]) for each in ("submitter", "other"))
    created = jobs.post("/jobs:batchCreate", json={"requests": [JOB, JOB]}, headers=mine).json()
    for outcome in created["outcomes"]:
        path = f"/jobs/{outcome['job']['id']}:cancel"
        assert jobs.post(path, headers=other).status_code == 403
        assert jobs.post(path, headers=mine).status_code == 200


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), str(error.value.details())


async def test_a_worker_with_types_has_jobs_of_these_types_only(guarded: Guarded, address: str) -> None:
    typed, operator = (authorization(f"Bearer {guarded.tokens[each]}") for each in ("typed", "operator"))
    identity = WorkerIdentity(worker_id="typed/1", name="typed", host="h", pid=1, types=["data", "file"])
    async with grpc.aio.insecure_channel(address) as channel:
        stub, fleet = JobServiceStub(channel), FleetServiceStub(channel)
        request = job_service_pb2.CreateRequest(type=UNWORKED, payload=dict_to_struct({}))
        job = await stub.Create(request, metadata=operator)
        claim = job_service_pb2.UpdateStatusRequest(id=job.id, status=job_pb2.Job.processing)
        claim.claim.worker_id = "typed/1"
        log = log_pb2.AppendLogRequest(
            worker_id="typed/1", logs=[log_pb2.AttemptLog(job_id=job.id, attempt=1)]
        )
        for call in (
            fleet.RegisterWorker(fleet_service_pb2.RegisterWorkerRequest(worker=identity), metadata=typed),
            stub.Get(job_service_pb2.GetRequest(id=job.id), metadata=typed),
            stub.BatchUpdateStatus(
                job_service_pb2.BatchUpdateStatusRequest(requests=[claim]), metadata=typed
            ),
            fleet.AppendLog(log, metadata=typed),
        ):
            code, message = await refusal(call)
            assert code == DENIED
            assert "this token is limited to jobs of the types data, not" in message
        request = job_service_pb2.CreateRequest(type="data", payload=dict_to_struct({}))
        request.schedule_time.FromSeconds(job.create_time.seconds + 3600)
        job = await stub.Create(request, metadata=operator)
        assert (await stub.Get(job_service_pb2.GetRequest(id=job.id), metadata=typed)).id == job.id


async def test_a_worker_changes_no_job_by_hand(guarded: Guarded, address: str) -> None:
    worker, operator = (authorization(f"Bearer {guarded.tokens[each]}") for each in ("worker", "operator"))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = JobServiceStub(channel)
        request = job_service_pb2.CreateRequest(type=UNWORKED, payload=dict_to_struct({}))
        job = await stub.Create(request, metadata=operator)
        by_hand = job_service_pb2.UpdateStatusRequest(id=job.id, status=job_pb2.Job.processing)
        batch = job_service_pb2.BatchUpdateStatusRequest(requests=[by_hand])
        code, message = await refusal(stub.BatchUpdateStatus(batch, metadata=worker))
        assert (code, "without a claim or a token needs" in message) == (DENIED, True)
        [outcome] = (await stub.BatchUpdateStatus(batch, metadata=operator)).outcomes
        assert outcome.HasField("accepted")


def test_a_new_token_counts_soon_and_a_revoked_one_no_more(guarded: Guarded, jobs: httpx.Client) -> None:
    token = guarded.new("--role", "reader", "--name", "ann", "--expires", "1h")

    def status() -> int:
        return jobs.get("/jobs", params={"pageSize": 1}, headers=bearer(token)).status_code

    wait_for(lambda: status() == 200, "the token counts", SOON)
    guarded.revoke(token)
    wait_for(lambda: status() == 401, "the token counts no more", SOON)


def test_a_watch_ends_with_its_token(guarded: Guarded, jobs: httpx.Client) -> None:
    token = guarded.new("--role", "reader")
    wait_for(lambda: jobs.get("/types", headers=bearer(token)).status_code == 200, "the token counts", SOON)
    with jobs.stream("GET", "/jobs:watch", headers=bearer(token)) as watch:
        lines = watch.iter_lines()
        next(lines)
        guarded.revoke(token)
        [ended] = [line for line in lines if "TOKEN_INVALID" in line]
    assert '"ended"' in ended


def test_no_log_has_a_token(guarded: Guarded, jobs: httpx.Client) -> None:
    jobs.get("/jobs", headers=bearer(guarded.tokens["operator"]))
    logs = b"".join(path.read_bytes() for path in (guarded.stack.settings.data_dir / "logs").iterdir())
    for token in (*guarded.tokens.values(), *guarded.invalid.values()):
        assert token.rpartition("_")[2].encode() not in logs
