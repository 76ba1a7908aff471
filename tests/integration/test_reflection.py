"""What tools learn from server reflection: a real server, and calls of both versions of the service."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2

from tests.integration.grpc_service import SERVICE, serving

VERSIONS = ("v1", "v1alpha")


@pytest.fixture
async def channel() -> AsyncIterator[Any]:
    # Reflection needs no servicer.
    async with (
        serving(lambda _target: None, deadline=1) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        yield channel


async def reflected(channel: Any, version: str, **question: Any) -> Any:
    """The answer of a reflection service. Both versions have the same messages."""
    asked = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    return await asked(iter([reflection_pb2.ServerReflectionRequest(**question)])).read()


def files_in(answer: Any) -> dict[str, FileDescriptorProto]:
    files = map(FileDescriptorProto.FromString, answer.file_descriptor_response.file_descriptor_proto)
    return {file.name: file for file in files}


@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_lists_the_services_and_refuses_broken_bytes(channel: Any, version: str) -> None:
    listed = (await reflected(channel, version, list_services="")).list_services_response.service
    assert {service.name for service in listed} == {
        SERVICE.full_name,
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    method = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.stream_stream(method)(iter([b"\xff\xff"])).read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("jobs.v1.JobService", "jobs/v1/job_service.proto"),
        ("jobs.v1.JobService.Create", "jobs/v1/job_service.proto"),
        ("jobs.v1.Job", "jobs/v1/job.proto"),
        ("jobs.v1.Job.id", "jobs/v1/job.proto"),
        ("jobs.v1.Job.Status", "jobs/v1/job.proto"),
        ("jobs.v1.Job.queued", "jobs/v1/job.proto"),
        ("jobs.v1.repeats", "jobs/v1/options.proto"),
        ("grpc.health.v1.Health.Check", "grpc_health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1.ServerReflection.ServerReflectionInfo", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ExtensionRequest", "grpc_reflection/v1alpha/reflection.proto"),
    ],
)
async def test_reflection_finds_every_kind_of_symbol_with_all_imports(
    channel: Any, version: str, symbol: str, file: str
) -> None:
    files = files_in(await reflected(channel, version, file_containing_symbol=symbol))

    assert file in files
    assert {each for known in files.values() for each in known.dependency} <= files.keys()
    by_name = files_in(await reflected(channel, version, file_by_filename=file))
    assert by_name[file] == files[file]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "symbol",
    [
        "",
        ".",
        "jobs.v1",
        "jobs.v1.Nope",
        "jobs.v1.JobService.Nope",
        "jobs.v1.Job.nope",
        "grpc.reflection.v1.Nope",
    ],
)
async def test_reflection_answers_not_found_for_an_unknown_symbol(
    channel: Any, version: str, symbol: str
) -> None:
    answer = await reflected(channel, version, file_containing_symbol=symbol)

    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert answer.original_request.file_containing_symbol == symbol


async def test_reflection_finds_extensions(channel: Any) -> None:
    options = "google.protobuf.MethodOptions"
    extension = reflection_pb2.ExtensionRequest(containing_type=options, extension_number=50001)

    found = files_in(await reflected(channel, "v1", file_containing_extension=extension))
    numbers = await reflected(channel, "v1", all_extension_numbers_of_type=options)

    assert "jobs/v1/options.proto" in found
    assert 50001 in numbers.all_extension_numbers_response.extension_number
