"""Processes on one host choose different names, and a name is free again when its process has ended."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from service_runtime.settings import WrongSettings, read_settings
from service_runtime.validation import ContractValidator
from tests.forked_code import CodeServer, ForkedCode
from worker_service.default_name import FOLDER, MAX_NUMBER, name_stem
from worker_service.settings import WorkerSettings

NOBODY = 65534
WORKER = """
import os, sys
from worker_service.default_name import NoFreeName, take_default_name
os.umask(int(sys.argv[2], 8))
if user := int(sys.argv[3]):
    os.setuid(user)
try:
    print(take_default_name(sys.argv[1]), flush=True)
except NoFreeName as error:
    print(f"none: {error}", flush=True)
"""
UNTIL_TOLD = "sys.stdin.read()"
START_A_PROGRAM = """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
print(child.pid, flush=True)
sys.stdin.read()
"""
FORK = """
import time
if (child := os.fork()) == 0:
    time.sleep(600)
print(child, flush=True)
sys.stdin.read()
"""
Start = Callable[..., tuple[str, ForkedCode]]


@pytest.fixture(scope="module")
def server() -> Iterator[CodeServer]:
    with CodeServer("worker_service.default_name") as server:
        yield server


@pytest.fixture
def folder() -> Iterator[Path]:
    """Stands in for /tmp, and is open to all users as well."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o1777)
        yield folder


@pytest.fixture
def start(server: CodeServer, folder: Path) -> Iterator[Start]:
    """Starts a process on a host of this name.

    Returns the name that it chose, and the process, which keeps the name.
    """

    def start(
        host: str = "host", then: str = UNTIL_TOLD, user: int = 0, umask: str = "022"
    ) -> tuple[str, ForkedCode]:
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = server.run(WORKER + then, host, umask, str(user), environment=environment)
        cleanup.enter_context(process)
        return line_of(process.stdout), process

    with ExitStack() as cleanup:
        yield start


def line_of(stream: IO[str]) -> str:
    return stream.readline().strip()


def test_each_process_gets_the_lowest_number_that_is_free(start: Start) -> None:
    started = [start() for _ in range(3)]
    assert [name for name, _ in started] == ["host-1", "host-2", "host-3"]

    started[1][1].kill()
    started[1][1].wait()

    assert [start()[0], start()[0]] == ["host-2", "host-4"]


def test_hosts_that_share_a_folder_do_not_share_numbers(start: Start) -> None:
    assert [start("a")[0], start("b")[0]] == ["a-1", "b-1"]


@pytest.mark.parametrize("then", [START_A_PROGRAM, FORK], ids=["program", "fork"])
def test_a_child_that_outlives_its_process_does_not_keep_the_name(start: Start, then: str) -> None:
    name, process = start(then=then)
    left_behind = int(line_of(process.stdout))
    try:
        assert start()[0] == "host-2"
        process.kill()
        process.wait()
        os.kill(left_behind, 0)
        assert start()[0] == name
    finally:
        os.kill(left_behind, 9)


def test_a_file_that_may_not_be_opened_counts_as_taken(start: Start, folder: Path) -> None:
    start()
    for file in (folder / FOLDER).iterdir():
        file.chmod(0)

    assert start(user=NOBODY if os.geteuid() == 0 else 0)[0] == "host-2"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_users_share_the_numbers_whatever_their_umask(start: Start) -> None:
    first, process = start(umask="077")
    assert (first, start(user=NOBODY)[0]) == ("host-1", "host-2")

    process.kill()
    process.wait()

    # Others may not open the first file, so they take the next number.
    assert (start(user=NOBODY)[0], start()[0]) == ("host-3", "host-1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_name_that_another_user_no_longer_uses_is_free(start: Start) -> None:
    _, process = start(user=NOBODY)
    process.kill()
    process.wait()

    assert start()[0] == "host-1"
    assert start(user=NOBODY)[0] == "host-2"


@pytest.mark.parametrize("what", ["a file", "a link", "a folder without permission", "a link in it"])
def test_a_folder_that_cannot_be_shared_is_replaced_by_one_of_the_user(
    start: Start, folder: Path, what: str
) -> None:
    elsewhere = folder / "elsewhere"
    match what:
        case "a file":
            (folder / FOLDER).write_text("")
        case "a link":
            elsewhere.mkdir()
            (folder / FOLDER).symlink_to(elsewhere)
        case "a folder without permission":
            (folder / FOLDER).mkdir(mode=0o555)
        case "a link in it":
            (folder / FOLDER).mkdir()
            (folder / FOLDER / "host-1").symlink_to(elsewhere)
    user = NOBODY if os.geteuid() == 0 else os.geteuid()

    names = [start(user=NOBODY if os.geteuid() == 0 else 0)[0] for _ in range(2)]

    assert names == [f"host-{user}-1", f"host-{user}-2"]
    assert not elsewhere.is_dir() or not list(elsewhere.iterdir())
    assert elsewhere.exists() == (what == "a link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_the_error_names_a_folder_of_the_user_that_another_user_has_made(start: Start, folder: Path) -> None:
    (folder / FOLDER).mkdir(mode=0o555)
    own = folder / f"{FOLDER}-{NOBODY}"
    own.mkdir(mode=0o555)

    said, _ = start(user=NOBODY)

    assert said == f"none: {own} belongs to another user; set WORKER_NAME"


@given(st.text(max_size=300), st.integers(1, MAX_NUMBER))
def test_any_host_name_makes_a_workers_name(host: str, number: int) -> None:
    name = f"{name_stem(host)}-{number}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKER_NAME", name)
        assert read_settings(WorkerSettings).worker_name == name
    assert ContractValidator().collect(WorkerIdentity(worker_id=f"{name}/0123abcd", name=name)) == []


@pytest.mark.parametrize(("length", "allowed"), [(128, True), (129, False)])
def test_a_configured_name_has_a_maximum_length(
    monkeypatch: pytest.MonkeyPatch, length: int, allowed: bool
) -> None:
    monkeypatch.setenv("WORKER_NAME", "x" * length)
    if allowed:
        assert read_settings(WorkerSettings).worker_name == "x" * length
    else:
        with pytest.raises(WrongSettings):
            read_settings(WorkerSettings)
