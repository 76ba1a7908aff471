"""A gRPC server with the contract's JobService."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from job_client._gen.jobs.v1 import job_service_pb2
from job_client._gen.jobs.v1.job_service_pb2_grpc import add_JobServiceServicer_to_server
from local_stack.ports import FREE_PORTS
from service_runtime.server import GrpcServer

SERVICE = job_service_pb2.DESCRIPTOR.services_by_name["JobService"]


@asynccontextmanager
async def serving(
    add: Callable[[Any], None], deadline: float, max_calls: int | None = None
) -> AsyncIterator[GrpcServer]:
    """`add` adds the servicer to the server. `deadline`, `max_calls`: see GrpcServer."""
    server = GrpcServer("127.0.0.1", FREE_PORTS.take(), deadline=deadline, max_calls=max_calls)
    server.add(SERVICE, add)
    await server.start()
    try:
        yield server
    finally:
        await server.stop(0)


def adding(servicer: Any) -> Callable[[Any], None]:
    """Adds a servicer that may lack methods."""
    return partial(add_JobServiceServicer_to_server, servicer)
