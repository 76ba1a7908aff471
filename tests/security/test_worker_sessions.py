"""What a stranger may do in the name of a worker, through the real system: nothing."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest

from contract_runtime.status_details import call_status, reason_of
from job_client._gen.jobs.v1.fleet_service_pb2 import HeartbeatRequest, RegisterWorkerRequest
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceStub
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusRequest,
    Claim,
    Token,
    UpdateStatusRequest,
)
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client._gen.jobs.v1.log_pb2 import AppendLogRequest, AttemptLog, LogEntry
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity, WorkerReport
from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, jobs_client
from tests.gate import Gate
from tests.waiting import wait_for

SECRET, WRONG = "s" * 43, "w" * 43


@dataclass
class Caller:
    """Calls an API server past the gateway."""

    channel: grpc.Channel
    session: str = ""
    name: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")

    @property
    def worker_id(self) -> str:
        return f"{self.name}/1"

    def call(self, method: Any, request: Any) -> Any:
        """The answer, or the reason of the refusal."""
        metadata = (("worker-session", self.session),) if self.session else ()
        try:
            return method(request, timeout=20, metadata=metadata)
        except grpc.RpcError as error:
            refused: Any = error
            return reason_of(call_status(refused))

    def register(self, worker_id: str | None = None) -> Any:
        identity = WorkerIdentity(worker_id=worker_id or self.worker_id, name=self.name, types=["compute"])
        return self.call(
            FleetServiceStub(self.channel).RegisterWorker, RegisterWorkerRequest(worker=identity)
        )

    def heartbeat(self, worker_id: str, *job_ids: str, state: str = "draining") -> Any:
        report = WorkerReport(state=WorkerReport.State.Value(state))
        request = HeartbeatRequest(worker_id=worker_id, job_ids=job_ids, report=report)
        return self.call(FleetServiceStub(self.channel).Heartbeat, request)

    def log(self, worker_id: str, job_id: str) -> Any:
        entry = LogEntry(number=1, kind=LogEntry.Kind.line, message="forged")
        entry.time.GetCurrentTime()
        logs = [AttemptLog(job_id=job_id, attempt=1, entries=[entry])]
        request = AppendLogRequest(worker_id=worker_id, logs=logs)
        return self.call(FleetServiceStub(self.channel).AppendLog, request)

    def update(self, request: UpdateStatusRequest) -> Any:
        return self.call(JobServiceStub(self.channel).UpdateStatus, request)

    def update_batch(self, request: UpdateStatusRequest) -> str:
        answer = self.call(
            JobServiceStub(self.channel).BatchUpdateStatus, BatchUpdateStatusRequest(requests=[request])
        )
        return reason_of(answer.outcomes[0].error)


@pytest.fixture
def channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.address("api_server")) as channel:
        yield channel


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with jobs_client(stack) as client:
        yield client


def completed(job_id: str, worker_id: str) -> UpdateStatusRequest:
    token = Token(worker_id=worker_id, attempt=1)
    request = UpdateStatusRequest(id=job_id, status=Job.Status.completed, token=token)
    request.result["forged"] = True
    return request


@pytest.mark.parametrize("session", ["", WRONG])
def test_a_stranger_cannot_act_in_the_name_of_a_worker_that_runs_a_job(
    channel: grpc.Channel, client: httpx.Client, gate: Gate, session: str
) -> None:
    job_id = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(job_id), "the job runs")
    worker_id = get(client, job_id)["workerId"]
    stranger = Caller(channel, session)

    assert stranger.update(completed(job_id, worker_id)) == "WORKER_SESSION_WRONG"
    assert stranger.update_batch(completed(job_id, worker_id)) == "WORKER_SESSION_WRONG"
    assert stranger.heartbeat(worker_id, job_id) == "WORKER_SESSION_WRONG"
    assert stranger.log(worker_id, job_id) == "WORKER_SESSION_WRONG"
    stranger.name = worker_id.rpartition("/")[0]
    assert stranger.register(worker_id) == "WORKER_SESSION_WRONG"
    assert stranger.register(f"{stranger.name}/stranger") == "WORKER_NAME_TAKEN"

    gate.open()
    job = wait_for(lambda: (job := get(client, job_id))["status"] == "completed" and job, "the job ends")
    assert (job["workerId"], job["attempt"]) == (worker_id, 1)
    assert "forged" not in job["result"]


def test_the_session_is_what_a_worker_has_registered_with(channel: grpc.Channel) -> None:
    worker = Caller(channel, SECRET)
    stranger = Caller(channel, WRONG, worker.name)
    assert worker.register().lease.seconds
    # The answer of the first call may have been lost.
    assert worker.register().lease.seconds
    assert stranger.register() == "WORKER_SESSION_WRONG"
    assert stranger.heartbeat(worker.worker_id) == "WORKER_SESSION_WRONG"
    # It leaves in order, so nobody sees it in the fleet.
    assert worker.heartbeat(worker.worker_id).HasField("fleet")


def test_who_has_not_registered_claims_by_hand_but_neither_early_nor_for_long(
    channel: grpc.Channel, client: httpx.Client
) -> None:
    somebody = Caller(channel)
    later = create(client, "compute", {"input": "x"}, scheduleTime=_in_days(2))
    claim = Claim(worker_id=somebody.worker_id, expected_attempt=0)
    request = UpdateStatusRequest(id=later["id"], status=Job.Status.processing, claim=claim)
    assert somebody.update(request) == "NOT_DUE"
    assert somebody.heartbeat(somebody.worker_id, later["id"], state="consuming") == "WORKER_NOT_REGISTERED"
    client.post(f"/jobs/{later['id']}:cancel", json={}).raise_for_status()


def _in_days(days: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + days * 86_400))
