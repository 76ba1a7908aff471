"""A gRPC server with what every service here offers: checked calls, health, reflection, an orderly end."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service_runtime.checked_calls import CheckedCalls
from service_runtime.validation import ContractValidator

MAX_RECEIVE_BYTES = 8 * 1024 * 1024
MAX_SEND_BYTES = 16 * 1024 * 1024
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", MAX_SEND_BYTES),
    # Headers: more than the gateway lets through, so that the server's own errors are seen. Between the two limits gRPC
    # refuses at random.
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.absolute_max_metadata_size", 128 * 1024),
    # Two servers must not share a port unnoticed.
    ("grpc.so_reuseport", 0),
    # Callers may ping every 10 s, idle ones too; more often is answered with GOAWAY.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class PortTaken(OSError):
    """The server cannot listen where it was told to."""


class GrpcServer:
    """Serves from `start` to `stop`; says NOT_SERVING until told otherwise."""

    def __init__(self, host: str, port: int, *, deadline: float) -> None:
        """`deadline`: seconds that a call may take when its caller sets no shorter time."""
        self.address = f"{host}:{port}"
        self._validator = ContractValidator()
        self._server = grpc.aio.server(options=OPTIONS)
        self._calls = CheckedCalls(self._server, deadline, self._validator)
        self._health = health.aio.HealthServicer()
        self._has_served = False
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._calls)
        self._services = [health.SERVICE_NAME, reflection.SERVICE_NAME]

    def add(self, service: ServiceDescriptor, register: Callable[[Any], None]) -> None:
        """Serve `service`; `register` adds its servicer to the server that it gets."""
        register(self._calls)
        self._services.append(service.full_name)
        self._validator.warm(*(GetMessageClass(method.input_type) for method in service.methods))

    async def start(self) -> None:
        """Listen. Raises PortTaken."""
        reflection.enable_server_reflection(self._services, self._server)
        await self.set_serving(False)
        try:
            self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise PortTaken(f"cannot listen on {self.address}: the address is taken or not ours") from error
        await self._server.start()

    async def set_serving(self, serving: bool) -> None:
        """Tell health checks, for the server as a whole and for each of its services. Once it turns away this changes nothing."""
        state = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        self._has_served |= serving
        for name in ("", *self._services):
            await self._health.set(name, state)

    async def turn_away(self, seconds: float) -> None:
        """Say NOT_SERVING, for good, and serve on for so many seconds: those who ask for the server's health call others then.

        There is nobody to wait for if it has never said that it serves.
        """
        await self._health.enter_graceful_shutdown()
        if self._has_served:
            await asyncio.sleep(seconds)

    async def stop(self, grace: float) -> None:
        """Say NOT_SERVING, take no more calls, let those in hand end within `grace` seconds, then close."""
        await self.turn_away(0)
        await self._server.stop(grace)
