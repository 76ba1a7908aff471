"""`make verify` on copies of the contract that were changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
JOB_SERVICE = "jobs/v1/job_service.proto"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the contract and its stubs, in no repository."""
    for name in ("proto", "gen"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(copy: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in the copy, where git finds no repository above it."""
    environment = ENVIRONMENT | {"GIT_CEILING_DIRECTORIES": str(copy.parent)}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def verify(copy: Path) -> tuple[int, str]:
    """The exit status of verify.py, and what it and buf print."""
    ended = run(copy, sys.executable, "proto/verify.py")
    return ended.returncode, ended.stdout + ended.stderr


def generate(copy: Path, *arguments: str) -> None:
    run(copy, sys.executable, "proto/generate.py", *arguments).check_returncode()


def git(copy: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
    run(copy, "git", *identity, *arguments).check_returncode()


def replace(copy: Path, file: str, old: str, new: str) -> None:
    path = copy / "proto" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_contract_as_it_is_passes(copy: Path) -> None:
    assert verify(copy) == (0, "")


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        (
            JOB_SERVICE,
            "string page_token = 2 ",
            "string page_token = 20 ",
            'field "2" with name "page_token" on message "ListRequest" was deleted',
        ),
        (
            JOB_SERVICE,
            "  string next_page_token = 2;\n",
            "",
            'field "2" with name "next_page_token" on message "ListResponse" was deleted',
        ),
        (
            "jobs/v1/fleet_service.proto",
            "rpc GetFleet(",
            "rpc GetWorkers(",
            'RPC "GetFleet" on service "FleetService" was deleted',
        ),
        (
            "jobs/v1/job.proto",
            "cancelled = 5;",
            "called_off = 5;",
            'changed name from "cancelled" to "called_off"',
        ),
    ],
)
def test_a_change_that_breaks_callers_is_refused_by_name(
    copy: Path, file: str, old: str, new: str, complaint: str
) -> None:
    replace(copy, file, old, new)

    status, printed = verify(copy)

    assert status == 1
    assert complaint in printed
    assert "the contract breaks callers of the last release" in printed


def test_an_added_field_and_an_added_call_pass(copy: Path) -> None:
    replace(
        copy,
        JOB_SERVICE,
        "string next_page_token = 2;",
        "string next_page_token = 2;\n  // How many there are.\n  int32 total = 99;",
    )
    replace(
        copy,
        "jobs/v1/fleet_service.proto",
        "  rpc GetFleet(",
        "  rpc Ping(PingRequest) returns (PingResponse);\n\n  // Returns the fleet.\n  rpc GetFleet(",
    )
    with (copy / "proto/jobs/v1/fleet_service.proto").open("a", encoding="utf-8") as file:
        file.write(
            "\n// Has no fields.\nmessage PingRequest {}\n\n// Has no fields.\nmessage PingResponse {}\n"
        )
    assert "gen/ is not what proto/ generates; run `make proto`" in verify(copy)[1]

    generate(copy, "stubs", "gen")

    assert verify(copy) == (0, "")


def test_a_newer_tag_is_compared_with_too(copy: Path) -> None:
    replace(
        copy,
        JOB_SERVICE,
        "string next_page_token = 2;",
        "string next_page_token = 2;\n  // How many there are.\n  int32 total = 99;",
    )
    generate(copy, "stubs", "gen")
    git(copy, "init", "--quiet")
    git(copy, "add", ".")
    git(copy, "commit", "--quiet", "--message=release")
    git(copy, "tag", "v7.0.0")

    status, printed = verify(copy)
    assert status == 1
    assert "released.binpb is older than v7.0.0; run `make release-contract`" in printed

    generate(copy, "release")
    assert verify(copy) == (0, "")

    replace(copy, JOB_SERVICE, "  // How many there are.\n  int32 total = 99;\n", "")
    generate(copy, "release")  # hides the change from the stored image, but not from the tag
    status, printed = verify(copy)
    assert status == 1
    assert 'field "99" with name "total" on message "ListResponse" was deleted' in printed
    assert "the contract breaks callers of v7.0.0" in printed
