"""The contract as one file, from which other languages generate their stubs."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    file = tmp_path_factory.mktemp("image") / "jobs.binpb"
    subprocess.run([sys.executable, "proto/generate.py", "image", file], cwd=ROOT, check=True)
    return FileDescriptorSet.FromString(file.read_bytes())


def test_the_image_has_all_that_it_imports_in_order(image: FileDescriptorSet) -> None:
    pool = DescriptorPool()
    for file in image.file:
        # Fails if an import is missing or comes later.
        pool.AddSerializedFile(file.SerializeToString())

    assert pool.FindServiceByName("jobs.v1.JobService")
    assert pool.FindServiceByName("jobs.v1.WorkerService")


def test_every_file_of_the_contract_is_in_the_image_and_has_the_same_go_package(
    image: FileDescriptorSet,
) -> None:
    ours = {file.name: file.options.go_package for file in image.file if file.package == "jobs.v1"}

    assert set(ours) == {str(path.relative_to(ROOT / "proto")) for path in (ROOT / "proto").rglob("*.proto")}
    assert set(ours.values()) == {"example.com/distributed-processing/jobs/v1;jobsv1"}
