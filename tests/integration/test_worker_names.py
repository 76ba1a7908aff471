"""A live worker keeps its name, even when the API server is frozen or cut off from MongoDB."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from job_client._gen.jobs.v1.fleet_service_pb2 import HeartbeatRequest, RegisterWorkerRequest
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceStub
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity, WorkerReport
from local_stack.stack import Stack
from tests.conftest import API_SERVER
from tests.waiting import wait_for

PATIENCE = 3 * float(API_SERVER["HEARTBEAT_INTERVAL"])


@pytest.fixture
def fleet(stack: Stack) -> Iterator[FleetServiceStub]:
    options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 100)]
    with grpc.insecure_channel(stack.address("api_server"), options) as channel:
        yield FleetServiceStub(channel)


@dataclass
class Process:
    """A worker's process, as the API server sees it."""

    fleet: FleetServiceStub
    name: str

    def __post_init__(self) -> None:
        self.worker_id = f"{self.name}/{uuid4()}"

    def register(self) -> grpc.RpcError | None:
        """Register. Returns the error if it was refused."""
        identity = WorkerIdentity(worker_id=self.worker_id, name=self.name, host="here", pid=7)
        try:
            self.fleet.RegisterWorker(RegisterWorkerRequest(worker=identity), timeout=5)
        except grpc.RpcError as error:
            return error
        return None

    def registers(self) -> bool:
        """Whether it has the name now. False if another has it, or if the server cannot tell."""
        error = self.register()
        if error is not None:
            assert error.code() in (grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.UNAVAILABLE)
        return error is None

    def beat(self) -> None:
        report = WorkerReport(state=WorkerReport.consuming)
        self.fleet.Heartbeat(HeartbeatRequest(worker_id=self.worker_id, report=report), timeout=5)


@pytest.fixture
def name() -> str:
    return f"name-{uuid4()}"


def test_a_newcomer_is_refused_with_the_holder_of_its_name_and_gets_it_once_the_holder_is_silent(
    fleet: FleetServiceStub, name: str
) -> None:
    began = time.monotonic()
    holder, newcomer = Process(fleet, name), Process(fleet, name)
    assert holder.register() is None
    error = newcomer.register()
    assert error is not None
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason == "WORKER_NAME_TAKEN"
    assert info.metadata["worker_id"] == holder.worker_id
    assert set(info.metadata) == {"worker_id", "host", "pid", "last_heartbeat_time"}

    wait_for(newcomer.registers, "the holder counts as dead")
    assert time.monotonic() - began >= PATIENCE * 0.9
    with pytest.raises(grpc.RpcError) as caught:
        holder.beat()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    newcomer.beat()


@pytest.mark.parametrize("part", ["api_server", "mongodb"])
def test_a_server_that_could_receive_no_heartbeat_takes_no_name_away(
    stack: Stack, fleet: FleetServiceStub, name: str, part: str
) -> None:
    holder, newcomer = Process(fleet, name), Process(fleet, name)
    assert holder.register() is None
    stack.freeze(part)
    time.sleep(2 * PATIENCE)  # the fault lasts this long
    thawed = time.monotonic()
    stack.thaw(part)

    # The holder was silent for long, but it does not count as dead.
    def refused() -> bool:
        error = newcomer.register()
        assert error is not None
        return error.code() is grpc.StatusCode.ALREADY_EXISTS

    wait_for(refused, "the server answers again")
    beaten = time.monotonic()
    holder.beat()
    assert newcomer.register() is not None

    wait_for(newcomer.registers, "the holder counts as dead")
    assert time.monotonic() - max(thawed, beaten) >= PATIENCE * 0.9
