"""A gRPC server with what every service here offers: checked calls, health, reflection, an orderly end."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from contract_runtime.limits import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from contract_runtime.rest import has_rest
from service_runtime.access.gate import Gate
from service_runtime.checked_calls import CheckedCalls
from service_runtime.reflection import SERVICE_NAMES as REFLECTION
from service_runtime.reflection import add_reflection
from service_runtime.rest_calls import RestCalls
from service_runtime.validation import ContractValidator

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    # Headers: more than the gateway allows, so that callers see the server's own errors. Between the two
    # limits gRPC refuses calls at random.
    ("grpc.max_metadata_size", 64 * 1024),
    ("grpc.absolute_max_metadata_size", 128 * 1024),
    # Two servers must not share a port unnoticed.
    ("grpc.so_reuseport", 0),
    # Callers may ping every 10 s, also without a call; GOAWAY answers a caller that pings more often.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


class PortTaken(OSError):
    """The server cannot listen on its address."""


class GrpcServer:
    """Serves from `start` to `stop`. Its health is NOT_SERVING until `set_serving(True)`."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        deadline: float,
        stream_deadline: float | None = None,
        gate: Gate | None = None,
        has_reflection: bool = True,
        max_calls: int | None = None,
    ) -> None:
        """`deadline`: seconds that a unary call may take, unless its caller allows less.

        `stream_deadline`: the same for streaming calls. None: a stream lasts until its caller, its servicer
        or the server's stop ends it. `gate`: decides who may call; None: anybody may.

        `max_calls`: how many calls of all kinds run at a time. gRPC refuses others with RESOURCE_EXHAUSTED.
        None: without a limit.
        """
        self.address = f"{host}:{port}"
        self._validator = ContractValidator()
        self._server = grpc.aio.server(options=OPTIONS, maximum_concurrent_rpcs=max_calls)
        self._calls = CheckedCalls(self._server, self._validator, deadline, stream_deadline, gate)
        self._rest_calls = RestCalls(self._server, self._validator, deadline, stream_deadline, gate)
        self._health = health.aio.HealthServicer()
        self._has_served = False
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._calls)
        self._has_reflection = has_reflection
        self._services = [health.SERVICE_NAME, *(REFLECTION if has_reflection else ())]

    def add(self, service: ServiceDescriptor, register: Callable[[Any], None]) -> None:
        """Serve `service` and its twin for REST, if it has one.

        `register` adds its servicer to the server that it gets.
        """
        register(self._calls)
        if any(map(has_rest, service.methods)):
            register(self._rest_calls)
        self._services.append(service.full_name)
        self._validator.warm(*(GetMessageClass(method.input_type) for method in service.methods))

    async def start(self) -> None:
        """Listen. Raises PortTaken."""
        if self._has_reflection:
            add_reflection(self._calls, self._services)
        await self.set_serving(False)
        try:
            self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise PortTaken(f"cannot listen on {self.address}: the address is in use or not local") from error
        await self._server.start()

    async def set_serving(self, serving: bool) -> None:
        """Set the health of the server and of each of its services. Has no effect after `turn_away`."""
        state = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        self._has_served |= serving
        for name in ("", *self._services):
            await self._health.set(name, state)

    async def turn_away(self, seconds: float) -> None:
        """Set the health to NOT_SERVING permanently, and go on serving for `seconds`.

        Callers that watch the health use other servers from then on. Returns at once if the server has never
        been SERVING: then it has no callers.
        """
        await self._health.enter_graceful_shutdown()
        if self._has_served:
            await asyncio.sleep(seconds)

    async def stop(self, grace: float) -> None:
        """Set the health to NOT_SERVING, accept no new calls, wait up to `grace` seconds for running calls,
        then close.
        """
        await self.turn_away(0)
        await self._server.stop(grace)
