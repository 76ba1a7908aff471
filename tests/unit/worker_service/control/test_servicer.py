"""WorkerService passes calls on to the API server, and its refusals back in the terms of the caller's
request.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from job_client._gen.jobs.v1.fleet_service_pb2 import GetFleetResponse, SetFleetRequest, SetFleetResponse
from job_client._gen.jobs.v1.worker_pb2 import Fleet, FleetPart, Worker, WorkerIdentity
from job_client._gen.jobs.v1.worker_service_pb2 import (
    DESCRIPTOR,
    GetStateRequest,
    GetStateResponse,
    StartRequest,
    StartResponse,
    StopRequest,
    StopResponse,
)
from job_client._gen.jobs.v1.worker_service_pb2_grpc import (
    WorkerServiceStub,
    add_WorkerServiceServicer_to_server,
)
from local_stack.ports import FREE_PORTS
from service_runtime.server import GrpcServer
from tests.unit.worker_service.job_service_fake import api_of
from worker_service.control.servicer import WorkerControl

FLEET = Fleet(consuming=True, revision=3, stopped_workers=["web-1"], stopped_types=["compute", "data"])
WORKER = Worker(identity=WorkerIdentity(worker_id="web-1/1", name="web-1"))


class Server:
    """An API server with a fixed fleet. `refuse` makes it refuse every change."""

    def __init__(self, refuse: Callable[[Any], Any] | None = None) -> None:
        self._refuse = refuse
        self.asked: list[SetFleetRequest] = []

    async def set_fleet(self, request: SetFleetRequest, context: Any) -> SetFleetResponse:
        self.asked.append(request)
        if self._refuse is not None:
            await self._refuse(context)
        return SetFleetResponse(fleet=FLEET, pending_worker_ids=["web-2/1"])

    async def get_fleet(self, _request: Any, _context: Any) -> GetFleetResponse:
        return GetFleetResponse(fleet=FLEET, workers=[WORKER])


@asynccontextmanager
async def control_of(api_server: Server) -> AsyncIterator[Any]:
    """A stub of WorkerService."""
    port = FREE_PORTS.take()
    calls = {"SetFleet": api_server.set_fleet, "GetFleet": api_server.get_fleet}
    async with api_of(calls) as api:
        server = GrpcServer("127.0.0.1", port, deadline=10)
        server.add(
            DESCRIPTOR.services_by_name["WorkerService"],
            lambda grpc_server: add_WorkerServiceServicer_to_server(WorkerControl(api), grpc_server),
        )
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield WorkerServiceStub(channel)
        finally:
            await server.stop(0)


def refuse_with(code: grpc.StatusCode, message: str, detail: Any) -> Callable[[Any], Any]:
    status = Status(code=code.value[0], message=message)
    status.details.add().Pack(detail)
    return lambda context: context.abort_with_status(rpc_status.to_status(status))


async def refusal_of(server: Server, request: StopRequest) -> Status:
    """What Stop is answered with."""
    async with control_of(server) as control:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await control.Stop(request)
    return rpc_status.from_call(caught.value)


@pytest.mark.parametrize(
    ("named", "part"),
    [
        ({}, None),
        ({"all": True}, None),
        ({"worker": "web-1"}, FleetPart(worker="web-1")),
        ({"type": "compute"}, FleetPart(type="compute")),
    ],
)
async def test_start_and_stop_name_what_the_caller_named(
    named: dict[str, Any], part: FleetPart | None
) -> None:
    server = Server()
    async with control_of(server) as control:
        started = await control.Start(StartRequest(**named))
        stopped = await control.Stop(StopRequest(**named))

    assert server.asked == [SetFleetRequest(consuming=desired, part=part) for desired in (True, False)]
    answer: dict[str, Any] = {
        "consuming": True,
        "pending_worker_ids": ["web-2/1"],
        "stopped_workers": ["web-1"],
        "stopped_types": ["compute", "data"],
    }
    assert started == StartResponse(**answer)
    assert stopped == StopResponse(**answer)


async def test_get_state_shows_what_is_stopped() -> None:
    async with control_of(Server()) as control:
        state = await control.GetState(GetStateRequest())

    assert state == GetStateResponse(
        consuming=True, workers=[WORKER], stopped_workers=["web-1"], stopped_types=["compute", "data"]
    )


async def test_an_unknown_worker_is_not_found_with_the_details_of_the_api_server() -> None:
    info = ErrorInfo(reason="WORKER_NOT_FOUND", domain="jobs.v1", metadata={"worker": "web-9"})
    refuse = refuse_with(grpc.StatusCode.NOT_FOUND, "no worker is called 'web-9'", info)

    status = await refusal_of(Server(refuse), StopRequest(worker="web-9"))

    received = ErrorInfo()
    assert (status.code, status.message) == (5, "no worker is called 'web-9'")
    assert status.details[0].Unpack(received)
    assert received == info


async def test_an_unknown_type_is_reported_as_a_field_of_the_callers_request() -> None:
    violation = BadRequest.FieldViolation(field="part.type", reason="type.known", description="unknown")
    refuse = refuse_with(
        grpc.StatusCode.INVALID_ARGUMENT, "part.type: unknown", BadRequest(field_violations=[violation])
    )

    status = await refusal_of(Server(refuse), StopRequest(type="nonsense"))

    received = BadRequest()
    assert (status.code, status.message) == (3, "type: unknown")
    assert status.details[0].Unpack(received)
    violation.field = "type"
    assert received == BadRequest(field_violations=[violation])


@pytest.mark.parametrize(
    ("code", "answered", "reason", "message"),
    [
        (grpc.StatusCode.UNAVAILABLE, 14, "API_SERVER_UNREACHABLE", "no API server can be reached: why"),
        (grpc.StatusCode.UNKNOWN, 13, "INTERNAL", "the server failed to handle the call"),
    ],
)
async def test_a_failure_without_details_gets_a_reason_and_shows_only_why_no_server_can_be_reached(
    code: grpc.StatusCode, answered: int, reason: str, message: str
) -> None:
    status = await refusal_of(Server(lambda context: context.abort(code, "why")), StopRequest())

    info = ErrorInfo()
    assert (status.code, status.message) == (answered, message)
    assert status.details[0].Unpack(info)
    assert info.reason == reason


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (StopRequest(worker=""), "worker"),
        (StopRequest(worker="x" * 129), "worker"),
        (StopRequest(type=""), "type"),
        (StopRequest(type="x" * 64), "type"),
    ],
)
async def test_a_part_that_breaks_the_contract_is_refused_by_the_worker(
    request_: StopRequest, field: str
) -> None:
    server = Server()
    status = await refusal_of(server, request_)

    received = BadRequest()
    assert (status.code, server.asked) == (3, [])
    assert status.details[0].Unpack(received)
    assert [violation.field for violation in received.field_violations] == [field]


@pytest.mark.parametrize("named", [{"worker": "x" * 128}, {"type": "x" * 63}])
async def test_a_name_as_long_as_the_contract_allows_is_passed_on(named: dict[str, Any]) -> None:
    server = Server()
    async with control_of(server) as control:
        await control.Stop(StopRequest(**named))

    assert server.asked == [SetFleetRequest(part=FleetPart(**named))]


def with_unknown_field(request: StopRequest) -> StopRequest:
    """The request of a caller that knows a field 100."""
    return StopRequest.FromString(request.SerializeToString() + b"\xa2\x06\x01x")


async def test_a_stop_of_everything_with_a_field_that_is_not_known_is_refused() -> None:
    server = Server()
    for request in (StopRequest(), StopRequest(all=True)):
        status = await refusal_of(server, with_unknown_field(request))
        assert status.code == 3
    assert server.asked == []

    async with control_of(server) as control:
        await control.Stop(with_unknown_field(StopRequest(worker="web-1")))
    assert server.asked == [SetFleetRequest(part=FleetPart(worker="web-1"))]
