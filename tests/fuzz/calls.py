"""The inputs: calls over gRPC or REST."""

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import unquote_to_bytes

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.text_format import MessageToString

from job_client._gen.jobs.v1 import fleet_service_pb2, job_service_pb2, worker_service_pb2

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for file in (job_service_pb2.DESCRIPTOR, fleet_service_pb2.DESCRIPTOR, worker_service_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
)
METHODS: tuple[MethodDescriptor, ...] = tuple(
    method for service in SERVICES for method in service.methods if not method.server_streaming
)
"""Without streams, which do not end by themselves."""
FLEET_CHANGES = ("SetFleet", "Start", "Stop")
"""Calls that wait up to 5 s until the workers follow. They have their own tests."""
SHOWN = 2000


class Way(Enum):
    """Where a call is sent."""

    GATEWAY = "gateway"
    SERVER = "server"  # the API server or the worker itself


def ways(method: MethodDescriptor) -> tuple[Way, ...]:
    """The ways that reach a method. The gateway does not serve FleetService."""
    return (Way.SERVER,) if method.containing_service.name == "FleetService" else tuple(Way)


@dataclass(frozen=True)
class NativeCall:
    """A gRPC call. `raw` is its message, which may be invalid."""

    method: MethodDescriptor = field(repr=False)
    raw: bytes = field(repr=False)
    way: Way = Way.GATEWAY
    metadata: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        message = GetMessageClass(self.method.input_type)()
        try:
            message.ParseFromString(self.raw)
            shown = MessageToString(message, as_one_line=True)
        except DecodeError:
            shown = "undecodable"
        name, to = self.method.name, self.way.value
        return f"{name} to {to}, {dict(self.metadata)}, {shown[:SHOWN]} = {self.raw[:SHOWN]!r}"

    @property
    def content(self) -> bytes:
        """The content of the call, in plain bytes."""
        return self.raw

    @property
    def path(self) -> str:
        return f"/{self.method.containing_service.full_name}/{self.method.name}"


@dataclass(frozen=True)
class RestCall:
    """An HTTP request. `method` is None if the request is meant for no particular method."""

    service: ServiceDescriptor = field(repr=False)
    verb: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = field(repr=False)
    method: MethodDescriptor | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        shown = f"{self.body[:SHOWN]!r}{' …' if len(self.body) > SHOWN else ''}"
        return f"{self.verb} {self.target[:SHOWN]!r} {self.headers!r} {shown}"

    @property
    def content(self) -> bytes:
        """The content of the call, in plain bytes."""
        return unquote_to_bytes(self.target) + self.body


Call = NativeCall | RestCall
