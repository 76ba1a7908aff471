"""The descriptor set that Envoy reads."""

from functools import cache
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from contract_runtime.limits import FLEET_SERVICE, JOB_SERVICE, WORKER_SERVICE
from contract_runtime.rest import BODY_FIELD, BODY_NUMBER, has_rest, twin_of
from gateway.descriptor import descriptor_set
from job_client._gen.jobs.v1.job_pb2 import Job

METHODS = [method for service in (JOB_SERVICE, WORKER_SERVICE) for method in service.methods]


@cache
def pool() -> DescriptorPool:
    """All files, added one after the other: each import must come before the file that needs it."""
    made = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptor_set()).file:
        made.AddSerializedFile(file.SerializeToString())
    return made


def rules_of(method: MethodDescriptor) -> list[Any]:
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    return [rule, *rule.additional_bindings]


def test_the_set_has_everything_that_it_imports_and_each_file_once() -> None:
    files = FileDescriptorSet.FromString(descriptor_set()).file
    names = [file.name for file in files]

    assert len(names) == len(set(names))
    assert {name for file in files for name in file.dependency} <= set(names)
    assert "google/rpc/error_details.proto" in names
    assert pool().FindServiceByName(JOB_SERVICE.full_name)


@pytest.mark.parametrize(
    "method", [method for method in METHODS if has_rest(method)], ids=lambda method: method.name
)
def test_the_twin_of_a_method_has_its_rest_paths_and_takes_any_body(method: MethodDescriptor) -> None:
    assert method.containing_service
    twin = pool().FindServiceByName(twin_of(method.containing_service.full_name)).methods_by_name[method.name]
    paths, wanted = (
        {(each.WhichOneof("pattern"), getattr(each, each.WhichOneof("pattern"))): each.body for each in rules}
        for rules in (rules_of(twin), rules_of(method))
    )

    output = method.output_type.full_name
    assert twin.output_type.full_name == (twin_of(output) if method.name == "Create" else output)
    assert paths == {path: body and BODY_FIELD for path, body in wanted.items()}
    # Envoy looks only at the first path to see how it has to read bodies.
    assert bool(rules_of(twin)[0].body) == any(wanted.values())
    fields = {field.name: field.number for field in twin.input_type.fields}
    body = {BODY_FIELD: BODY_NUMBER} if any(wanted.values()) else {}
    assert fields == {field.name: field.number for field in method.input_type.fields} | body


def test_only_the_answer_of_create_has_warnings() -> None:
    twin = pool().FindMessageTypeByName(twin_of(Job.DESCRIPTOR.full_name))
    numbers = {field.name: field.number for field in Job.DESCRIPTOR.fields}

    assert {field.name: field.number for field in twin.fields} == numbers
    numbers.pop("warnings")
    others = pool().FindMessageTypeByName(Job.DESCRIPTOR.full_name)
    assert {field.name: field.number for field in others.fields} == numbers


def test_calls_without_rest_have_no_twin() -> None:
    names = {method.name for method in pool().FindServiceByName(twin_of(JOB_SERVICE.full_name)).methods}

    assert "BatchUpdateStatus" not in names
    with pytest.raises(KeyError):
        pool().FindServiceByName(twin_of(FLEET_SERVICE.full_name))


def test_no_message_of_the_contract_uses_the_number_of_the_body() -> None:
    assert not [method for method in METHODS if BODY_NUMBER in method.input_type.fields_by_number]
