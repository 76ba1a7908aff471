"""Made-up contracts for tests of the generator, written as text."""

from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import any_pb2, duration_pb2, field_mask_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_tools import protoc

from job_client._gen.jobs._validate import validate_pb2

IMPORTS: tuple[FileDescriptor, ...] = tuple(
    module.DESCRIPTOR
    for module in (
        validate_pb2,
        annotations_pb2,
        any_pb2,
        duration_pb2,
        field_mask_pb2,
        struct_pb2,
        timestamp_pb2,
    )
)


def compiled(folder: Path, text: str) -> FileDescriptorSet:
    """A file of the package made.v1, which may use all of IMPORTS, with these and its comments."""
    files: dict[str, FileDescriptorProto] = {}
    for imported in IMPORTS:
        _add(imported, files)
    known, image = folder / "known.binpb", folder / "made.binpb"
    known.write_bytes(FileDescriptorSet(file=files.values()).SerializeToString())
    imports = "".join(f'import "{imported.name}";\n' for imported in IMPORTS)
    head = f'syntax = "proto3";\npackage made.v1;\n{imports}'
    (folder / "made.proto").write_text(head + text, encoding="utf-8")
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={image}"]
    command = ["protoc", f"--descriptor_set_in={known}", f"-I{folder}", *options, "made.proto"]
    assert protoc.main(command) == 0
    return FileDescriptorSet.FromString(image.read_bytes())


def message(descriptors: FileDescriptorSet, name: str) -> Descriptor:
    pool = DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    return pool.FindMessageTypeByName(f"made.v1.{name}")


def _add(file: FileDescriptor, files: dict[str, FileDescriptorProto]) -> None:
    if file.name not in files:
        for dependency in file.dependencies:
            _add(dependency, files)
        files[file.name] = FileDescriptorProto()
        file.CopyToProto(files[file.name])
