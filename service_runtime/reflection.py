"""Server reflection, in the versions v1 and v1alpha. Both have the same messages.

grpcio has only v1alpha, and protobuf's pool does not find methods, so `grpcurl describe` of one would fail.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

ALPHA = "grpc.reflection.v1alpha"
V1 = "grpc.reflection.v1"
SERVICE_NAMES = (f"{V1}.ServerReflection", reflection.SERVICE_NAME)


def add_reflection(server: Any, services: Sequence[str]) -> None:
    """Serve both versions at `server`. They list `services`, and describe all that protobuf knows."""
    servicer = reflection.aio.ReflectionServicer(services, _Pool())
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_registered_method_handlers(SERVICE_NAMES[0], {"ServerReflectionInfo": handler})


class _Pool:
    """protobuf's default pool, which also finds methods and the v1 service. Raises KeyError like a pool."""

    def __init__(self) -> None:
        self._default = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._default, name)

    def FindFileByName(self, name: str) -> FileDescriptor:  # noqa: N802 - the pool's name
        if name == _v1_file().name:
            return _v1_file()
        return self._default.FindFileByName(name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's name
        if symbol.startswith(f"{V1}."):
            return _file_of(_v1_file().pool, symbol)
        return _file_of(self._default, symbol)


def _file_of(pool: Any, symbol: str) -> FileDescriptor:
    """The file with a service, a method, a type, a field or a value of an enum."""
    try:
        file: FileDescriptor = pool.FindFileContainingSymbol(symbol)
    except KeyError:
        service_name, _, method = symbol.rpartition(".")
        service = pool.FindServiceByName(service_name)
        if method not in service.methods_by_name:
            raise
        file = service.file
    return file


@cache
def _v1_file() -> FileDescriptor:
    """The file of v1: that of v1alpha, with the other package.

    It has a pool of its own, so that it does not clash with a later version of grpcio that brings it.
    """
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "grpc/reflection/v1/reflection.proto", V1
    for message in file.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = field.type_name.replace(ALPHA, V1)
    [service] = file.service
    for method in service.method:
        method.input_type = method.input_type.replace(ALPHA, V1)
        method.output_type = method.output_type.replace(ALPHA, V1)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    found: FileDescriptor = pool.FindFileByName(file.name)
    return found
