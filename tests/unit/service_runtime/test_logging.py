"""The log of a real process whose standard error fails in every possible way."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from local_stack.settings import ROOT
from service_runtime.logging import MAX_LINE
from tests.forked_code import CodeServer, ForkedCode

START = """
import logging, os, sys, time, warnings
import structlog
from service_runtime.logging import configure_logging
from service_runtime.settings import ServiceSettings
configure_logging(ServiceSettings(log_format="json"), 7)
log = structlog.get_logger()

class Hostile:
    def __repr__(self):
        raise KeyError("hostile")
    __str__ = __repr__

def log_in_every_way(size):
    log.info("own", text="x" * size)
    logging.getLogger("library").warning("theirs %s", "y" * size)
    warnings.warn("z" * size)
    try:
        raise ValueError("v" * size)
    except ValueError:
        log.exception("failed")
        logging.getLogger("library").exception("failed")
    log.warning("%s", Hostile())
    log.warning("hostile", value=Hostile(), inside=[Hostile()])
    logging.getLogger("library").warning("%d %s", Hostile(), Hostile())
"""
DEADLINE = 60.0
Start = Callable[..., ForkedCode]


@pytest.fixture(scope="module")
def server() -> Iterator[CodeServer]:
    with CodeServer("structlog", "service_runtime.logging", "api_server.settings") as server:
        yield server


@pytest.fixture
def start(server: CodeServer) -> Iterator[Start]:
    with ExitStack() as cleanup:
        yield lambda code, stderr=None: cleanup.enter_context(server.run(START + code, stderr=stderr))


def ended(run: ForkedCode) -> tuple[int | None, str]:
    """Exit status and standard output."""
    out, _ = run.communicate()
    return run.returncode, out


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


WORK = "log_in_every_way(10); print('worked'); sys.exit(5)"


def test_a_full_disk_does_not_stop_the_process(start: Start) -> None:
    with Path("/dev/full").open("w") as full:
        assert ended(start(WORK, full.fileno())) == (5, "worked\n")


def test_a_closed_reader_does_not_stop_the_process(start: Start) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        assert ended(start(WORK, write)) == (5, "worked\n")
    finally:
        os.close(write)


def test_without_standard_error_the_process_works_and_writes_to_no_other_file() -> None:
    code = WORK.replace(
        "print",
        "opened = [os.dup(1) for _ in range(3)]; assert min(opened) > 2, opened; "
        "sys.stderr.write('x'); print",
    )
    # In a process of its own: Python looks for standard error when it starts.
    process = subprocess.run(
        [sys.executable, "-c", START + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.close(2),
        timeout=DEADLINE,
        check=False,
    )
    assert (process.returncode, process.stdout) == (5, "worked\n")


@pytest.mark.parametrize(
    "closing",
    ["os.close(2)", "sys.stderr.close()", "sys.stderr = None", "import io; sys.stderr = io.StringIO()"],
)
def test_a_handler_that_closes_standard_error_does_not_stop_the_log(start: Start, closing: str) -> None:
    process = start(f"{closing}\n{WORK}")
    out, err = process.communicate()
    assert out == "worked\n"
    assert process.returncode == 5
    assert len(parsed(err)) == 8


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_stalled_reader_does_not_block_the_process_and_gets_the_last_lines(start: Start, kind: str) -> None:
    """Before anything is read, more is logged than a pipe or a socket can hold."""
    code = """
for number in range(4_000):
    log.info("line", number=number, text="x" * 1000)
print("worked", flush=True)
sys.stdin.readline()
log.info("last")
"""
    if kind == "pipe":
        read, write = os.pipe()
    else:
        ends = socket.socketpair()
        read, write = (end.detach() for end in ends)
    process = start(code, write)
    os.close(write)
    with open(read, encoding="utf-8") as log:  # noqa: PTH123 - a file descriptor
        assert select.select([process.stdout], [], [], DEADLINE)[0], "it waits for the reader"
        assert process.stdout.readline() == "worked\n"
        process.stdin.write("\n")
        process.stdin.flush()
        lines = parsed(log.read())
        assert process.wait() == 0
    events = [line["event"] for line in lines]
    lost = sum(line["count"] for line in lines if line["event"] == "log_lines_lost")
    assert events[-1] == "last"
    assert [line["number"] for line in lines if line["event"] == "line"][-1] == 3_999
    assert lost > 0
    assert lost + events.count("line") == 4_000
    assert {line["process"] for line in lines} == {7}


def test_a_process_with_a_stalled_reader_ends(start: Start) -> None:
    read, write = os.pipe()
    try:
        code = "for number in range(4_000): log.info('line', text='x' * 1000)\nsys.exit(5)"
        assert ended(start(code, write)) == (5, "")
    finally:
        os.close(read)
        os.close(write)


def test_writes_of_other_processes_to_the_pipe_stay_blocking(start: Start) -> None:
    """O_NONBLOCK is a flag of the open file, which processes share when they inherit it."""
    code = "import fcntl; log.info('x'); print(bool(fcntl.fcntl(2, fcntl.F_GETFL) & os.O_NONBLOCK))"
    assert ended(start(code)) == (0, "False\n")


def test_lost_lines_are_reported_when_there_is_space_again(start: Start, tmp_path: Path) -> None:
    """A limit of the file's size simulates a full disk."""
    log = tmp_path / "log"
    code = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for number in range(20):
    log.info("line", number=number)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.info("again")
"""
    with log.open("w") as file:
        assert ended(start(code, file.fileno()))[0] == 0
    *before, torn, lost, last = log.read_text().splitlines()
    kept = len(parsed("\n".join(before)))
    assert not torn.endswith("}")
    assert parsed(lost)[0] | {"event": "log_lines_lost", "count": 20 - kept} == parsed(lost)[0]
    assert parsed(last)[0]["event"] == "again"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_lines_have_a_limited_length_whatever_is_logged(start: Start, log_format: str) -> None:
    code = "log_in_every_way(1_000_000); log.info('k', **{str(n): '\\x00' * 4000 for n in range(100)})"
    code = f"configure_logging(ServiceSettings(log_format='{log_format}'), 7); {code}"
    process = start(code)
    _, err = process.communicate()
    assert process.returncode == 0
    if log_format == "json":
        assert len(parsed(err)) == 9
    assert max(map(len, err.splitlines())) < MAX_LINE
    assert len(err) < 9 * MAX_LINE
    assert "characters left out" in err


def test_values_that_cannot_be_printed_are_named_by_their_type(start: Start) -> None:
    _, err = start("log_in_every_way(1)").communicate()
    own, theirs, warned, failed, failed_too, hostile, mismatch = parsed(err)[:5] + parsed(err)[-2:]
    assert own["text"] == "x"
    assert (theirs["event"], theirs["logger"]) == ("theirs y", "library")
    assert "UserWarning: z" in warned["event"]
    assert failed["exception"] == failed_too["exception"]
    assert hostile["value"] == "<Hostile, not printable: KeyError>"
    assert mismatch["level"] == "warning"
    assert mismatch["event"].startswith("%d %s")


def test_a_forked_child_logs_and_does_not_repeat_lines_of_its_parent(start: Start) -> None:
    code = """
log.info("parent")
pid = os.fork()
log.info("both", pid=os.getpid())
if pid:
    os.waitpid(pid, 0)
"""
    _, err = start(code).communicate()
    assert [line["event"] for line in parsed(err)] == ["parent", "both", "both"]


def test_flush_logs_writes_the_last_lines_before_os_exit(start: Start) -> None:
    read, write = os.pipe()
    code = """
from service_runtime.logging import flush_logs
for number in range(2_000):
    log.info("line", text="x" * 200)
flush_logs(30)
os._exit(3)
"""
    process = start(code, write)
    os.close(write)
    with open(read, encoding="utf-8") as log:  # noqa: PTH123 - a file descriptor
        time.sleep(0.1)  # lets the pipe fill up; the assertions hold in any case
        assert len(parsed(log.read())) == 2_000
        assert process.wait() == 3


API_SERVER = "import runpy; runpy.run_module('api_server', run_name='__main__', alter_sys=True)"
WRONG_SETTINGS = {**os.environ, "API_SERVER_PORT": "0"}


@pytest.mark.parametrize("kind", ["full", "stalled reader"])
def test_wrong_settings_give_status_two_even_if_they_cannot_be_reported(
    server: CodeServer, kind: str
) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)
    os.set_blocking(write, True)
    try:
        with Path("/dev/full").open("w") as full:
            stderr = full.fileno() if kind == "full" else write
            with server.run(API_SERVER, stderr=stderr, environment=WRONG_SETTINGS) as process:
                assert process.wait() == 2
    finally:
        os.close(read)
        os.close(write)


def test_wrong_settings_give_status_two_without_standard_error() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "api_server"],
        cwd=ROOT,
        env=WRONG_SETTINGS,
        preexec_fn=lambda: os.close(2),
        timeout=DEADLINE,
        check=False,
    )
    assert process.returncode == 2
