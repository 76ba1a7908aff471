"""The protobuf descriptor set that Envoy needs to translate REST into gRPC, made from the installed stubs."""

import sys
from pathlib import Path
from typing import Any

from google.api import annotations_pb2, http_pb2, httpbody_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.rpc import error_details_pb2

from contract_runtime.job_fields import OF_AN_ANSWER
from contract_runtime.limits import JOB_SERVICE, WORKER_SERVICE
from contract_runtime.rest import BODY_FIELD, BODY_NUMBER, has_rest, twin_of
from job_client._gen.jobs.v1 import job_service_pb2, worker_service_pb2

# No file of the contract imports error_details, but Envoy needs it to print the details of an error. Without
# it, the body of an error with details is empty.
ROOTS: tuple[FileDescriptor, ...] = (
    job_service_pb2.DESCRIPTOR,
    worker_service_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
    httpbody_pb2.DESCRIPTOR,
)
TWIN_FILE = "jobs/v1/rest.proto"
HTTP_BODY = httpbody_pb2.HttpBody.DESCRIPTOR
CREATE = JOB_SERVICE.methods_by_name["Create"]
JOB = CREATE.output_type


def descriptor_set() -> bytes:
    """A serialized google.protobuf.FileDescriptorSet of the services at the gateway's ports.

    It includes all imports, google.rpc's error details, and the twins of the services, to which Envoy maps
    REST requests (contract_runtime/rest.py). Each file occurs once, after the files that it imports, as Envoy
    requires.

    Envoy prints a list even if it is empty. So Job lacks the fields that only the answer of Create has, and
    the twin of Create answers with a twin of Job, which has them.
    """
    files: dict[str, FileDescriptorProto] = {}
    for root in ROOTS:
        _add_with_imports(root, files)
    twins = _twins(list(files))
    _remove_fields_of_an_answer(files[JOB.file.name])
    return FileDescriptorSet(file=[*files.values(), twins]).SerializeToString(deterministic=True)


def _twins(imports: list[str]) -> FileDescriptorProto:
    """The file with the twin services, and with the twins of messages."""
    package = twin_of(JOB_SERVICE.full_name).rpartition(".")[0]
    file = FileDescriptorProto(name=TWIN_FILE, package=package, syntax="proto3", dependency=imports)
    messages = {JOB.name: _twin_message(JOB)}
    for service in (JOB_SERVICE, WORKER_SERVICE):
        _add_twin(file, service, messages)
    file.message_type.extend(messages.values())
    return file


def _add_twin(
    file: FileDescriptorProto, service: ServiceDescriptor, messages: dict[str, DescriptorProto]
) -> None:
    twin = file.service.add(name=service.name)
    for method in filter(has_rest, service.methods):
        copy = twin.method.add()
        method.CopyToProto(copy)
        rules = _rules(method)
        main = copy.options.Extensions[annotations_pb2.http]
        main.CopyFrom(rules[0])
        main.additional_bindings.extend(rules[1:])
        if main.body:
            messages[method.input_type.name] = _request_with_body(method)
            copy.input_type = f".{twin_of(method.input_type.full_name)}"
        if method.full_name == CREATE.full_name:
            copy.output_type = f".{twin_of(JOB.full_name)}"


def _rules(method: MethodDescriptor) -> list[Any]:
    """The method's REST paths, those with a body first, and with the body's field in place of `*`.

    Envoy passes bodies on as they are only if the first path of the method has one.
    """
    first = method.GetOptions().Extensions[annotations_pb2.http]
    rules = []
    for each in (first, *first.additional_bindings):
        rule = http_pb2.HttpRule()
        rule.CopyFrom(each)
        rule.ClearField("additional_bindings")
        if rule.body not in ("", "*"):
            raise ValueError(f"{method.full_name}: a body must be the whole request (`*`)")
        rule.body = BODY_FIELD if rule.body else ""
        rules.append(rule)
    return sorted(rules, key=lambda rule: not rule.body)


def _request_with_body(method: MethodDescriptor) -> DescriptorProto:
    """The request, with the fields that a path or a query may set, and with a field for the body."""
    copy = _twin_message(method.input_type)
    copy.field.add(
        name=BODY_FIELD,
        number=BODY_NUMBER,
        label=FieldDescriptorProto.LABEL_OPTIONAL,
        type=FieldDescriptorProto.TYPE_MESSAGE,
        type_name=f".{HTTP_BODY.full_name}",
    )
    return copy


def _twin_message(message: Descriptor) -> DescriptorProto:
    """A copy of the message, for the package of the twins."""
    copy = DescriptorProto()
    message.CopyToProto(copy)
    own = f".{message.full_name}."
    for field in copy.field:
        # Inner types, such as the entries of a map, are copied too.
        if field.type_name.startswith(own):
            field.type_name = f".{twin_of(message.full_name)}.{field.type_name.removeprefix(own)}"
    return copy


def _remove_fields_of_an_answer(file: FileDescriptorProto) -> None:
    [job] = [message for message in file.message_type if message.name == JOB.name]
    kept = [field for field in job.field if field.name not in OF_AN_ANSWER]
    del job.field[:]
    job.field.extend(kept)


def _add_with_imports(file: FileDescriptor, files: dict[str, FileDescriptorProto]) -> None:
    if file.name in files:
        return
    for dependency in file.dependencies:
        _add_with_imports(dependency, files)
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    files[file.name] = proto


def main(arguments: list[str]) -> int:
    """`python -m gateway.descriptor FILE` writes the set to FILE. Exit status 2 for wrong arguments."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m gateway.descriptor FILE\n")
        return 2
    Path(arguments[0]).write_bytes(descriptor_set())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
