"""Generates the stubs, and the contract as one image for buf.

    python proto/generate.py stubs OUT_DIR    write the stubs of every proto file
    python proto/generate.py image FILE       write the contract, with all imports, as one descriptor set
    python proto/generate.py release          store the contract as that of a release, in proto/released.binpb

buf/validate/validate.proto is not kept here. Its descriptor comes from the installed protovalidate package,
so that the rules in the stubs always have the version of the validator that reads them.

The stubs in OUT_DIR/jobs import each other by relative imports, so that they work under any name: as
`jobs.v1` if OUT_DIR is on the path, and as `job_client._gen.jobs.v1`, the name that this project uses.
"""

import re
import shutil
import sys
import sysconfig
import tempfile
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

PROTO_DIR = Path(__file__).parent
RELEASED = PROTO_DIR / "released.binpb"
"""The contract of the last release. Only `make release-contract` writes it. `make proto` must not do that, or
each change would be compared with itself.
"""
# google/api and google/rpc come with googleapis-common-protos, google/protobuf with grpcio-tools.
INCLUDES = [f"-I{sysconfig.get_path('purelib')}", f"-I{files('grpc_tools') / '_proto'}"]
VALIDATE_PROTO = "buf/validate/validate.proto"
VALIDATE_CHOICE = '''\
"""The stubs of validate.proto: those of the package `buf` if it is installed, otherwise a copy.

A process can hold only one version of validate.proto, so all stubs in it must take the same.
"""

try:
    from buf.validate import validate_pb2
except ImportError:
    from . import _validate_pb2 as validate_pb2

__all__ = ["validate_pb2"]
'''
RELATIVE = (
    (re.compile(r"^from jobs\.(v\d+) import ", re.MULTILINE), r"from ..\1 import "),
    (re.compile(r"^from buf\.validate import ", re.MULTILINE), "from .._validate import "),
    # The module that pickle imports to find the class of a message.
    (re.compile(r"(?<=\(DESCRIPTOR, )'jobs\.v\d+\.\w+'"), "__name__"),
)
"""What is replaced in the generated files, which have absolute imports."""


def run_protoc(*arguments: str) -> None:
    """Run protoc; its messages go to standard error. Raises SystemExit when it fails."""
    if protoc.main(["protoc", *arguments]) != 0:
        sys.exit("protoc failed")


def write_validate_descriptor(target: Path) -> None:
    """Write validate.proto and all that it imports as a descriptor set."""
    validate = validate_pb.desc().proto
    run_protoc(*INCLUDES, "--include_imports", f"--descriptor_set_out={target}", *validate.dependency)
    descriptors = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    descriptors.file.add().ParseFromString(validate.to_binary())
    target.write_bytes(descriptors.SerializeToString())


def proto_files(proto_dir: Path, pattern: str = "*.proto") -> list[str]:
    return sorted(str(path.relative_to(proto_dir)) for path in proto_dir.rglob(pattern))


def write_stubs(out_dir: Path, scratch: Path) -> None:
    """Write the stubs, typed, of every proto file and of validate.proto, which they import."""
    descriptor = scratch / "validate.binpb"
    write_validate_descriptor(descriptor)
    ours = [f"--descriptor_set_in={descriptor}", f"-I{PROTO_DIR}", *INCLUDES]
    outputs = [f"--python_out={out_dir}", f"--mypy_out=quiet:{out_dir}"]
    run_protoc(*ours, *outputs, VALIDATE_PROTO, *proto_files(PROTO_DIR))
    grpc_outputs = [f"--grpc_python_out={out_dir}", f"--mypy_grpc_out=quiet:{out_dir}"]
    run_protoc(*ours, *grpc_outputs, *proto_files(PROTO_DIR, "*_service.proto"))
    make_relative(out_dir)


def make_relative(out_dir: Path) -> None:
    """Replace the absolute imports of the stubs in OUT_DIR/jobs, and copy validate.proto's stubs there."""
    jobs = out_dir / "jobs"
    for path in sorted(jobs.rglob("*.py*")):
        text = path.read_text(encoding="utf-8")
        for pattern, replacement in RELATIVE:
            text = pattern.sub(replacement, text)
        path.write_text(text, encoding="utf-8")
    for suffix in (".py", ".pyi"):
        shutil.copyfile(out_dir / f"buf/validate/validate_pb2{suffix}", jobs / f"_validate_pb2{suffix}")
    (jobs / "_validate.py").write_text(VALIDATE_CHOICE, encoding="utf-8")


def write_image(proto_dir: Path, target: Path, scratch: Path, *options: str) -> None:
    """Write every proto file of `proto_dir`, with imports, as a descriptor set. `options` are protoc's."""
    descriptor = scratch / "validate.binpb"
    write_validate_descriptor(descriptor)
    run_protoc(
        f"--descriptor_set_in={descriptor}",
        f"-I{proto_dir}",
        *INCLUDES,
        "--include_imports",
        *options,
        f"--descriptor_set_out={target}",
        *proto_files(proto_dir),
    )


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        match arguments:
            case ["stubs", out_dir]:
                write_stubs(Path(out_dir), Path(scratch))
            case ["image", file]:
                write_image(PROTO_DIR, Path(file), Path(scratch), "--include_source_info")
            case ["release"]:
                write_image(PROTO_DIR, RELEASED, Path(scratch))
            case _:
                sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
