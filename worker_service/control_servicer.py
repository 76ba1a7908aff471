"""WorkerService: the fleet's control, for which any worker passes the word to the API server."""

from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
from google.rpc.code_pb2 import Code

from jobs.v1.worker_service_pb2 import (
    GetStateRequest,
    GetStateResponse,
    StartRequest,
    StartResponse,
    StopRequest,
    StopResponse,
)
from jobs.v1.worker_service_pb2_grpc import WorkerServiceServicer
from service_runtime.errors import ServiceError
from worker_service.api_client import ApiClient

SET_FLEET_SECONDS = 8.0
"""The API server waits up to 5 s for the workers."""
GET_FLEET_SECONDS = 5.0
CALL_SECONDS = 10.0
"""Longest time that a call of WorkerService may take."""
T = TypeVar("T")


class ApiServerUnreachable(ServiceError):
    """No API server answered in time, or the one that did has no database."""

    code = Code.UNAVAILABLE
    reason = "API_SERVER_UNREACHABLE"


class FleetTooLarge(ServiceError):
    """All that the workers say of themselves is more than one message can carry."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "FLEET_TOO_LARGE"


class WorkerControl(WorkerServiceServicer):
    """See proto/jobs/v1/worker_service.proto."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def Start(self, request: StartRequest, context: Any) -> StartResponse:
        answer = await _reach(self._api.set_fleet(consuming=True, wait=SET_FLEET_SECONDS))
        return StartResponse(consuming=answer.fleet.consuming, pending_worker_ids=answer.pending_worker_ids)

    async def Stop(self, request: StopRequest, context: Any) -> StopResponse:
        answer = await _reach(self._api.set_fleet(consuming=False, wait=SET_FLEET_SECONDS))
        return StopResponse(consuming=answer.fleet.consuming, pending_worker_ids=answer.pending_worker_ids)

    async def GetState(self, request: GetStateRequest, context: Any) -> GetStateResponse:
        answer = await _reach(self._api.get_fleet(GET_FLEET_SECONDS))
        return GetStateResponse(consuming=answer.fleet.consuming, workers=answer.workers)


async def _reach(call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            raise ApiServerUnreachable(f"no API server is within reach: {error.details()}") from None
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise FleetTooLarge(
                "the workers do not fit into one answer; ask JobService for what you need"
            ) from None
        raise
