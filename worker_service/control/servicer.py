"""WorkerService: operators start and stop the fleet through any worker, which calls the API server."""

from collections.abc import Awaitable
from typing import Any, TypeVar

from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc.code_pb2 import Code

from contract_runtime.credentials import AUTHORIZATION
from contract_runtime.errors import InvalidArgument, ServiceError, invalid
from contract_runtime.statuses import status_to_error
from job_client._gen.jobs.v1.fleet_service_pb2 import SetFleetRequest, SetFleetResponse
from job_client._gen.jobs.v1.worker_pb2 import Fleet, FleetPart
from job_client._gen.jobs.v1.worker_service_pb2 import (
    GetStateRequest,
    GetStateResponse,
    StartRequest,
    StartResponse,
    StopRequest,
    StopResponse,
)
from job_client._gen.jobs.v1.worker_service_pb2_grpc import WorkerServiceServicer
from worker_service.api.client import ApiClient, Metadata
from worker_service.api.errors import ApiCallFailed

SET_FLEET_SECONDS = 8.0
"""Longer than the 5 s that the API server waits for the workers."""
GET_FLEET_SECONDS = 5.0
CALL_SECONDS = 10.0
"""How long a call of WorkerService may take."""
T = TypeVar("T")


class ApiServerUnreachable(ServiceError):
    """No API server answered in time, or the one that answered cannot reach the database."""

    code = Code.UNAVAILABLE
    reason = "API_SERVER_UNREACHABLE"


class WorkerControl(WorkerServiceServicer):
    """See proto/jobs/v1/worker_service.proto."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def Start(self, request: StartRequest, context: Any) -> StartResponse:
        answer = await self._set_fleet(request, context, consuming=True)
        return StartResponse(**desired_part(answer.fleet), pending_worker_ids=answer.pending_worker_ids)

    async def Stop(self, request: StopRequest, context: Any) -> StopResponse:
        answer = await self._set_fleet(request, context, consuming=False)
        return StopResponse(**desired_part(answer.fleet), pending_worker_ids=answer.pending_worker_ids)

    async def GetState(self, request: GetStateRequest, context: Any) -> GetStateResponse:
        answer = await reach(self._api.get_fleet(GET_FLEET_SECONDS, authorization_of(context)))
        return GetStateResponse(
            **desired_part(answer.fleet), workers=answer.workers, workers_omitted=answer.workers_omitted
        )

    async def _set_fleet(
        self, request: StartRequest | StopRequest, context: Any, *, consuming: bool
    ) -> SetFleetResponse:
        desired = SetFleetRequest(consuming=consuming, part=part_of(request))
        return await reach(self._api.set_fleet(desired, SET_FLEET_SECONDS, authorization_of(context)))


def authorization_of(context: Any) -> Metadata:
    """What the caller has sent to prove who it is, as it is: the API server decides."""
    return tuple(
        (name, value)
        for name, value in context.invocation_metadata() or ()
        if name == AUTHORIZATION and isinstance(value, str)
    )


def part_of(request: StartRequest | StopRequest) -> FleetPart | None:
    """The part of the fleet that a request names; None: the whole fleet. Raises InvalidArgument."""
    if request.HasField("worker"):
        return FleetPart(worker=request.worker)
    if request.HasField("type"):
        return FleetPart(type=request.type)
    if len(UnknownFieldSet(request)):
        # It may name a part in a way that only newer servers know.
        raise invalid(
            "", "part.known", "has a field that this server does not know, so what is meant is unclear"
        )
    return None


def desired_part(fleet: Fleet) -> dict[str, Any]:
    """The desired state, as the fields that all answers have."""
    return {
        "consuming": fleet.consuming,
        "stopped_workers": fleet.stopped_workers,
        "stopped_types": fleet.stopped_types,
    }


async def reach(call: Awaitable[T]) -> T:
    """The API server's answer. Raises ServiceError: what it refused, or that there was no answer."""
    try:
        return await call
    except ApiCallFailed as error:
        if error.code in (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED):
            raise ApiServerUnreachable(f"no API server can be reached: {error.message}") from None
        if (refusal := _refusal(error)) is not None:
            raise refusal from None
        raise


def _refusal(error: ApiCallFailed) -> ServiceError | None:
    """The API server's refusal, in the terms of the caller's request, whose fields are not inside `part`."""
    refusal = status_to_error(error.status)
    if isinstance(refusal, InvalidArgument):
        return InvalidArgument(
            [each._replace(field=each.field.removeprefix("part.")) for each in refusal.violations]
        )
    return refusal
