"""A worker with handlers of new types needs one variable. An API server with `*` takes the types, and checks
their payloads.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from grpc_status import rpc_status

from contract_runtime.status_details import decode_status
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client._gen.jobs.v1.job_types_pb2 import ListTypesRequest
from local_stack.stack import Stack
from tests.conftest import API_SERVER
from tests.fork_server import ForkServer
from tests.one_handler import JOB_TYPE, TYPED
from tests.waiting import wait_for
from tests.worker_process import worker_processes


@pytest.fixture
def address(stack: Stack) -> Iterator[str]:
    """A second API server, which takes the types that workers register."""
    stack.start("api_server", 2, {**API_SERVER, "JOB_TYPES": "compute,*"})
    yield f"127.0.0.1:{stack.settings.api_server_ports(2)[0]}"
    stack.stop("api_server", 2)
    stack.set_environment("api_server", 2, API_SERVER)


def test_a_type_is_taken_when_a_worker_has_registered_it(
    stack: Stack, address: str, fork_server: ForkServer, tmp_path: Path
) -> None:
    request = job_service_pb2.CreateRequest(type=JOB_TYPE, payload=dict_to_struct({"name": "Ada"}))
    with grpc.insecure_channel(address) as channel, worker_processes(stack, fork_server, tmp_path) as workers:
        stub: Any = JobServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="must be a type that a worker has registered"):
            stub.Create(request, timeout=10)

        environment = {
            "WORKER_HANDLERS": "tests.one_handler",
            # Empty: the default.
            "WORKER_JOB_TYPES": "",
            "API_SERVER_ADDRESS": address,
        }
        workers.start(2, environment=environment)

        def create() -> job_pb2.Job | None:
            with suppress(grpc.RpcError):
                job: job_pb2.Job = stub.Create(request, timeout=10)
                return job
            return None

        job = wait_for(create, "the type is taken")
        assert result_of(stub, job) == {"hello": "Ada"}
        check_the_typed_handler(stub)


def result_of(stub: Any, job: job_pb2.Job) -> Any:
    def ended() -> job_pb2.Job | None:
        found: job_pb2.Job = stub.Get(job_service_pb2.GetRequest(id=job.id), timeout=10)
        return found if found.status == job_pb2.Job.completed else None

    return MessageToDict(wait_for(ended, "the job has ended").result)


def check_the_typed_handler(stub: Any) -> None:
    def listed() -> dict[str, Any] | None:
        types = MessageToDict(stub.ListTypes(ListTypesRequest(), timeout=10))["types"]
        found: list[dict[str, Any]] = [each for each in types if each["type"] == TYPED]
        return found[0] if found and "payloadSchema" in found[0] else None

    shown = wait_for(listed, "the schema is shown")
    assert shown["payloadSchema"]["required"] == ["url", "size"]
    assert set(shown["resultSchema"]["properties"]) == {"pixels", "team"}
    assert "schemaProblem" not in shown

    fitting = job_service_pb2.CreateRequest(
        type=TYPED,
        payload=dict_to_struct({"url": "http://a", "size": {"width": 3, "height": 4}}),
        labels={"team": "web"},
    )
    wrong = job_service_pb2.CreateRequest(type=TYPED, payload=dict_to_struct({"size": {"width": "3"}}))
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Create(wrong, timeout=10)
    status: Any = rpc_status.from_call(refusal.value)
    paths = {each.field for each in decode_status(status).violations}
    assert paths == {"payload.url", "payload.size.height", "payload.size.width"}

    batch = stub.BatchCreate(job_service_pb2.BatchCreateRequest(requests=[wrong, fitting]), timeout=10)
    assert batch.outcomes[0].error.code == 3
    assert result_of(stub, batch.outcomes[1].job) == {"pixels": 12, "team": "web3"}
