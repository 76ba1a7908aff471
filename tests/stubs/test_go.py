"""The commands and the program for Go in docs/howto/generate-stubs.md do what the page says."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.stack import Stack
from tests.stubs.page import ADDRESS, BEGIN, commands, program
from tests.stubs.workplace import Workplace, cache

SWITCH = "STUBS_GO"
pytestmark = [
    pytest.mark.skipif(
        not os.environ.get(SWITCH), reason="Compiles for minutes the first time: run `make test-stubs`"
    ),
    pytest.mark.skipif(shutil.which("go") is None, reason="Go is missing: install Go 1.26 or newer"),
    # The first time it downloads and compiles gRPC.
    pytest.mark.timeout(900),
]
PINS = Path(__file__).parent / "go"
"""go.mod and go.sum."""
PINNED = {"go mod init example.com/distributed-processing", "go mod tidy"}
"""The files of `PINS` are there instead of these commands, which would take the newest versions."""
NAMES_PROTOC = re.compile(r"^//.*\bprotoc +.*$", re.MULTILINE)


@pytest.fixture
def go(workplace: Workplace) -> Iterator[dict[str, str]]:
    """The environment of the commands."""
    shutil.copytree(PINS, workplace.folder, dirs_exist_ok=True)
    with cache("go") as folder:
        yield {
            "GOBIN": str(workplace.tools),
            "GOCACHE": str(folder / "build"),
            "GOMODCACHE": str(folder / "mod"),
            # So that `make clean` can remove them.
            "GOFLAGS": "-modcacherw",
        }


def sources(workplace: Workplace) -> dict[str, str]:
    """The generated files, without the version of protoc."""
    files = sorted((workplace.folder / "jobs/v1").iterdir())
    return {file.name: NAMES_PROTOC.sub("", file.read_text()) for file in files}


def test_the_program_for_go_prints_the_output_on_the_page(
    workplace: Workplace, go: dict[str, str], stack: Stack
) -> None:
    (workplace.folder / "main.go").write_text(
        program("Go", "go").replace(ADDRESS, stack.endpoints.jobs_address)
    )
    ran = [*commands(BEGIN), *commands("Go")]
    assert {command.text for command in ran} > PINNED
    for command in ran:
        if command.text not in PINNED:
            assert workplace.run(command.text, go) == command.output

    of_protoc = sources(workplace)
    shutil.rmtree(workplace.folder / "jobs")
    (workplace.folder / "buf.gen.yaml").write_text(program("buf", "yaml"))
    for command in commands("buf"):
        workplace.run(command.text, go)
    assert sources(workplace) == of_protoc
