"""A gRPC server with the answers of a test, for what a real API server does only when it has a fault."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from job_client._gen.jobs.v1 import fleet_service_pb2, job_service_pb2
from worker_service.api.client import ApiClient

SERVICES = (
    job_service_pb2.DESCRIPTOR.services_by_name["JobService"],
    fleet_service_pb2.DESCRIPTOR.services_by_name["FleetService"],
)
Call = Callable[[Any, Any], Awaitable[Message]]


@asynccontextmanager
async def api_of(calls: Mapping[str, Call]) -> AsyncIterator[ApiClient]:
    """A worker's client of a server that has these calls."""
    async with serving(calls) as address, ApiClient([address]) as api:
        yield api


@asynccontextmanager
async def serving(
    calls: Mapping[str, Call], credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[str]:
    """Serve these calls of JobService and FleetService, each a function of a request and a context.

    Yields the address.
    """
    server = grpc.aio.server()
    for service in SERVICES:
        handlers = {
            name: _handler(service.methods_by_name[name], call)
            for name, call in calls.items()
            if name in service.methods_by_name
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def _handler(method: MethodDescriptor, call: Call) -> Any:
    request_type = GetMessageClass(method.input_type)
    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=request_type.FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )
