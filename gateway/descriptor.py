"""The protobuf descriptor set that Envoy needs to translate REST into gRPC, made from the installed stubs."""

import sys
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2

from jobs.v1 import job_service_pb2, worker_service_pb2

# No file of the contract imports error_details, but Envoy needs it to print the details of an error. Without
# it, the body of an error with details is empty.
ROOTS: tuple[FileDescriptor, ...] = (
    job_service_pb2.DESCRIPTOR,
    worker_service_pb2.DESCRIPTOR,
    error_details_pb2.DESCRIPTOR,
)


def descriptor_set() -> bytes:
    """A serialized google.protobuf.FileDescriptorSet of the services at the gateway's ports.

    It includes all imports and google.rpc's error details. Each file occurs once, after the files that it
    imports, as Envoy requires.
    """
    files: dict[str, FileDescriptorProto] = {}
    for root in ROOTS:
        _add_with_imports(root, files)
    return FileDescriptorSet(file=files.values()).SerializeToString(deterministic=True)


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
