"""`make verify` on copies of the contract that were changed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked_code import CodeServer

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
JOB_SERVICE, FLEET_SERVICE = "jobs/v1/job_service.proto", "jobs/v1/fleet_service.proto"
VERIFY = "import verify; verify.main()"
GENERATE = "import generate; generate.main(sys.argv[1:])"
COMPARE = """
import tempfile
from pathlib import Path
import generate, verify
with tempfile.TemporaryDirectory() as folder:
    scratch, image = Path(folder), Path(folder) / "now.binpb"
    generate.write_image(generate.PROTO_DIR, image, scratch, "--include_source_info")
    verify.verify_compatibility(image, scratch)
"""


class Copy:
    """A copy of the contract and its stubs, in no repository."""

    def __init__(self, path: Path, server: CodeServer) -> None:
        for name in ("proto", "gen"):
            shutil.copytree(ROOT / name, path / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.path = path
        # git finds no repository above it.
        self._environment = ENVIRONMENT | {"GIT_CEILING_DIRECTORIES": str(path.parent)}
        self._server = server

    def verify(self) -> tuple[int | None, str]:
        """The exit status of verify.py, and what it and buf print."""
        return self._run(VERIFY)

    def compare(self) -> tuple[int | None, str]:
        """The same for the part of verify.py that compares the contract with earlier ones."""
        return self._run(COMPARE)

    def generate(self, *arguments: str) -> None:
        assert self._run(GENERATE, *arguments) == (0, "")

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=self.path, env=self._environment, check=True)

    def replace(self, file: str, old: str, new: str) -> None:
        path = self.path / "proto" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def _run(self, code: str, *arguments: str) -> tuple[int | None, str]:
        with self._server.run(
            f"import sys; sys.path.insert(0, 'proto')\n{code}",
            *arguments,
            environment=self._environment,
            directory=self.path,
        ) as run:
            printed = "".join(run.communicate())
            return run.returncode, printed


@pytest.fixture(scope="module")
def server() -> Iterator[CodeServer]:
    with CodeServer("grpc_tools.protoc", "protovalidate._gen.buf.validate.validate_pb") as server:
        yield server


@pytest.fixture
def copy(tmp_path: Path, server: CodeServer) -> Copy:
    return Copy(tmp_path, server)


def test_the_contract_as_it_is_passes(copy: Copy) -> None:
    assert copy.verify() == (0, "")


def test_changes_that_break_callers_are_refused_by_name(copy: Copy) -> None:
    copy.replace(JOB_SERVICE, "string page_token = 2 ", "string page_token = 20 ")
    copy.replace(JOB_SERVICE, "  string next_page_token = 2;\n", "")
    copy.replace(FLEET_SERVICE, "rpc GetFleet(", "rpc GetWorkers(")
    copy.replace("jobs/v1/job.proto", "cancelled = 5;", "called_off = 5;")

    status, printed = copy.verify()

    assert status == 1
    for complaint in (
        'field "2" with name "page_token" on message "ListRequest" was deleted',
        'field "2" with name "next_page_token" on message "ListResponse" was deleted',
        'RPC "GetFleet" on service "FleetService" was deleted',
        'changed name from "cancelled" to "called_off"',
    ):
        assert complaint in printed
    assert "the contract breaks callers of the last release" in printed


def test_an_added_field_and_an_added_call_pass(copy: Copy) -> None:
    copy.replace(
        JOB_SERVICE,
        "string next_page_token = 2;",
        "string next_page_token = 2;\n  // How many there are.\n  int32 total = 99;",
    )
    copy.replace(
        FLEET_SERVICE,
        "  rpc GetFleet(",
        "  rpc Ping(PingRequest) returns (PingResponse);\n\n  // Returns the fleet.\n  rpc GetFleet(",
    )
    with (copy.path / "proto" / FLEET_SERVICE).open("a", encoding="utf-8") as file:
        file.write(
            "\n// Has no fields.\nmessage PingRequest {}\n\n// Has no fields.\nmessage PingResponse {}\n"
        )
    assert "gen/ is not what proto/ generates; run `make proto`" in copy.verify()[1]

    copy.generate("stubs", "gen")

    assert copy.verify() == (0, "")


@pytest.mark.slow
def test_a_newer_tag_is_compared_with_too(copy: Copy) -> None:
    copy.replace(
        JOB_SERVICE,
        "string next_page_token = 2;",
        "string next_page_token = 2;\n  // How many there are.\n  int32 total = 99;",
    )
    copy.git("init", "--quiet")
    copy.git("add", ".")
    copy.git("commit", "--quiet", "--message=release")
    copy.git("tag", "v7.0.0")

    status, printed = copy.verify()
    assert status == 1
    assert "released.binpb is older than v7.0.0; run `make release-contract`" in printed

    copy.generate("release")
    assert copy.compare() == (0, "")

    copy.replace(JOB_SERVICE, "  // How many there are.\n  int32 total = 99;\n", "")
    copy.generate("release")  # hides the change from the stored image, but not from the tag
    status, printed = copy.verify()
    assert status == 1
    assert 'field "99" with name "total" on message "ListResponse" was deleted' in printed
    assert "the contract breaks callers of v7.0.0" in printed
