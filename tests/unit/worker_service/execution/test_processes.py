"""What a handler does to the process that it runs in, and what it starts there, reaches no other job and outlives none."""

import asyncio
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from tests.unit.worker_service.execution.test_executor import SPECS, WAYS, job, result_of, run
from tests.waiting import until
from worker_service.execution.child_pipe import Done, Message
from worker_service.execution.executor import Executor
from worker_service.execution.invoke import Ended
from worker_service.execution.outcome import Failed, Outcome, Reason

DEADLINE = 60.0
"""For the start of a process on a busy machine, a few times."""
START = """
import os, pathlib, signal, subprocess, sys, time
def start(path, command, **options):
    program = subprocess.Popen(["sh", "-c", command], **options)
    pathlib.Path(path).write_text(str(program.pid))
    return program
"""
HANG = "while True: time.sleep(1000)"
IGNORES_SIGTERM = "trap '' TERM; while :; do sleep 1000; done"


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[Executor]:
    """For the tests that leave the process as it was: to start one takes the longest part of a test."""
    executor = Executor(threads=1, processes=1)
    yield executor
    await executor.close()


@pytest.fixture
async def executor() -> AsyncIterator[Executor]:
    executor = Executor(threads=1, processes=1)
    yield executor
    await executor.close()


def code(body: str) -> str:
    lines = "\n    ".join(body.strip().split("\n"))
    return f"{START}\ndef run(job):\n    {lines}\n"


async def do(executor: Executor, body: str, way: str = "act-process", **payload: Any) -> Outcome:
    async with asyncio.timeout(DEADLINE):
        return await run(executor, way, code=code(body), **payload)


async def pid_of(executor: Executor) -> int:
    pid: int = result_of(await do(executor, "return {'pid': os.getpid()}"))["pid"]
    return pid


async def program(path: Path) -> psutil.Process:
    await until(lambda: path.exists() and path.read_text() != "")
    return psutil.Process(int(path.read_text()))  # noqa: ASYNC240 - it is there


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; who has to wait for it is another matter."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("deed", "status"),
    [("return {}", 0), ("sys.exit()", 0), ("sys.exit(7)", 7), ("sys.exit('bad')", 1), ("raise KeyError", 1)],
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_fork_that_comes_back_ends_there_and_answers_for_nobody(
    shared: Executor, way: str, deed: str, status: int
) -> None:
    fork = f"pid = os.fork()\nif not pid: {deed}\nreturn {{'status': os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}}"
    assert result_of(await do(shared, fork, way)) == {"status": status}
    for number in range(6):
        assert result_of(await do(shared, "return job.payload['mine']", way, mine={"n": number})) == {
            "n": number
        }


async def test_a_fork_says_nothing_of_its_own(shared: Executor) -> None:
    heard: list[Any] = []
    fork = """
import worker_service
pid = os.fork()
if not pid:
    worker_service.progress(99, 'of the fork')
    time.sleep(0.3)
    os._exit(0)
os.waitpid(pid, 0)
return {}"""
    await shared.run(SPECS["act-process"], job("act-process", {"code": code(fork)}), say=heard.append)
    assert heard == []


FORKS = ["os.fork()", "__import__('ctypes').PyDLL(None).fork()"]


@pytest.mark.parametrize("fork", FORKS, ids=["python", "native"])
async def test_a_fork_that_outlives_its_process_hides_its_end_from_nobody(
    shared: Executor, tmp_path: Path, fork: str
) -> None:
    path = tmp_path / "pid"
    body = f"""
pid = {fork}
if not pid:
    {HANG}
pathlib.Path({str(path)!r}).write_text(str(pid))
os._exit(3)"""
    outcome = await do(shared, body)
    assert outcome == Failed(
        Reason.WORKER_PROCESS_DIED, "the process that ran the handler died: exit status 3"
    )
    left = await program(path)
    await until(lambda: is_gone(left))


@pytest.mark.parametrize(
    "message",
    [
        b"not a pickle",
        pickle.dumps(Message(0, Done(Ended(Failed("OLD", "of the job before"))))),
    ],
    ids=["no message", "of another job"],
)
async def test_a_message_that_does_not_name_the_job_is_refused_and_its_process_ended(
    shared: Executor, message: bytes
) -> None:
    pid = await pid_of(shared)
    framed = struct.pack("!i", len(message)) + message
    body = f"""
for number in map(int, os.listdir('/proc/self/fd')):
    try: os.write(number, {framed!r}) if os.readlink(f'/proc/self/fd/{{number}}').startswith('socket') else None
    except OSError: pass
{HANG}"""
    outcome = await do(shared, body)
    assert outcome == Failed(
        Reason.WORKER_PROCESS_DIED,
        "the process that ran the handler died: it did not answer for this job, and was killed",
    )
    assert await pid_of(shared) != pid


async def test_a_handler_that_closes_all_files_fails_alone(shared: Executor) -> None:
    outcome = await do(shared, f"os.closerange(3, os.sysconf('SC_OPEN_MAX'))\n{HANG}")
    assert isinstance(outcome, Failed)
    assert outcome.message.endswith("it closed its pipe, and was killed")
    await pid_of(shared)


async def test_a_program_has_the_signals_of_any_program(shared: Executor) -> None:
    body = "return {'status': subprocess.run(['cat', '/proc/self/status'], capture_output=True, text=True).stdout}"
    lines = result_of(await do(shared, body))["status"].splitlines()
    masks = dict(line.split(":\t") for line in lines if line.startswith("Sig"))
    blocked, ignored, caught = (int(masks[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt"))
    assert (blocked, caught) == (0, 0)
    # Others may have been ignored before the tests began, which all programs below inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
        assert not ignored & 1 << (number - 1)


@pytest.mark.parametrize(
    ("how", "command"),
    [
        *[(how, "sleep 1000") for how in ("timeout", "cancel", "end", "error")],
        *[(how, IGNORES_SIGTERM) for how in ("close", "end")],
    ],
)
async def test_a_program_ends_with_its_job(tmp_path: Path, how: str, command: str) -> None:
    executor = Executor(threads=1, processes=1)
    path = tmp_path / "pid"
    then = {"end": "return {}", "error": "raise KeyError"}.get(how, HANG)
    payload = {"code": code(f"start({str(path)!r}, {command!r})\n{then}")}
    running = asyncio.create_task(
        executor.run(
            SPECS["act-process"], job("act-process", payload), seconds=1.0 if how == "timeout" else None
        )
    )
    started = await program(path)
    match how:
        case "cancel":
            running.cancel()
        case "close":
            await executor.close()
            assert is_gone(started)
    await asyncio.wait([running], timeout=DEADLINE)
    await until(lambda: is_gone(started))
    await executor.close()


async def test_a_program_is_given_time_to_tidy_up(shared: Executor, tmp_path: Path) -> None:
    path, tidy = tmp_path / "pid", tmp_path / "tidy"
    command = f"trap 'sleep 0.2; touch {tidy}; exit' TERM; while :; do sleep 0.01; done"
    await do(shared, f"start({str(path)!r}, {command!r})\ntime.sleep(0.3)\nreturn {{}}")
    started = await program(path)
    await until(lambda: is_gone(started))
    assert tidy.exists()


async def test_a_program_with_a_session_of_its_own_lives_on(executor: Executor, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    await do(executor, f"start({str(path)!r}, 'exec sleep 1000', start_new_session=True)\nreturn {{}}")
    await executor.close()
    started = await program(path)
    assert not is_gone(started)
    started.kill()


@pytest.mark.parametrize(
    "hold", [HANG, "__import__('re').match('(a+)+$', 'a' * 64 + 'b')"], ids=["sleeps", "native"]
)
def test_process_and_programs_end_when_the_worker_is_killed(tmp_path: Path, hold: str) -> None:
    path = tmp_path / "pid"
    worker_code = f"""
import asyncio
from tests.unit.worker_service.execution.test_executor import SPECS, job
from worker_service.execution.executor import Executor

async def main():
    executor = Executor(threads=1, processes=1)
    await executor.run(SPECS["act-process"], job("act-process", {{"code": {code(f"start({str(path)!r}, {IGNORES_SIGTERM!r})" + chr(10) + hold)!r}}}))

if __name__ == "__main__":
    asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", worker_code]) as worker:
        try:
            deadline = time.monotonic() + DEADLINE
            while not (path.exists() and path.read_text()):
                assert time.monotonic() < deadline
                assert worker.poll() is None
                time.sleep(0.01)
            started = psutil.Process(int(path.read_text()))
            leader = psutil.Process(os.getpgid(started.pid))
        finally:
            worker.kill()
    for process in (started, leader):
        while not is_gone(process):
            assert time.monotonic() < deadline
            time.sleep(0.01)


LOOK = """
import resource, threading
mask = os.umask(0); os.umask(mask)
return {
    "pid": os.getpid(), "cwd": os.getcwd(), "umask": mask, "environment": {name: text for name, text in os.environ.items() if not name.startswith("PYTEST")},
    "alarm": signal.getitimer(signal.ITIMER_REAL)[0], "recursion": sys.getrecursionlimit(),
    "usr1": str(signal.getsignal(signal.SIGUSR1)), "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "mask": str(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "nice": os.getpriority(os.PRIO_PROCESS, 0),
}"""


@pytest.mark.parametrize(
    "deed",
    [
        "os.chdir('/')",
        "os.umask(0o077)",
        "os.environ['NEW'] = 'x'; del os.environ['HOME']; os.environ['PATH'] = 'y'",
        "os.environb[b'ODD'] = bytes([255])",
        "signal.alarm(1000)",
        "sys.setrecursionlimit(500)",
        "p = subprocess.Popen(['true']); os.waitid(os.P_PID, p.pid, os.WEXITED | os.WNOWAIT)",
    ],
)
async def test_what_a_job_changes_is_put_back_for_the_next(shared: Executor, deed: str) -> None:
    before = result_of(await do(shared, LOOK))
    assert result_of(await do(shared, f"{deed}\nreturn {{}}")) == {}
    assert result_of(await do(shared, LOOK)) == before
    assert isinstance(await do(shared, f"{deed}\nraise KeyError"), Failed)
    assert result_of(await do(shared, LOOK)) == before


@pytest.mark.parametrize(
    ("deed", "changed"),
    [
        ("signal.signal(signal.SIGUSR1, lambda *_: None)", "signal handlers"),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])", "the signal mask"),
        ("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))", "resource limits"),
        ("subprocess.Popen(['sleep', '1000'])", "programs that still run"),
        ("import shutil, tempfile; d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)", ""),
        ("os.getcwd = None", "its state, which could not be put back (TypeError)"),
    ],
)
async def test_a_process_that_a_job_has_changed_for_good_is_renewed(
    shared: Executor, deed: str, changed: str
) -> None:
    before = result_of(await do(shared, LOOK))
    with capture_logs() as logs:
        assert result_of(await do(shared, f"{deed}\nreturn {{}}")) == {}
    told = [line["changed"] for line in logs if line["event"] == "process_renewed"]
    assert told == ([changed] if changed else [])
    after = result_of(await do(shared, LOOK))
    assert (after.pop("pid") != before.pop("pid")) == bool(changed)
    assert after == before


@pytest.mark.parametrize(("most", "expected"), [(1, 3), (2, 2), (None, 1)])
async def test_a_process_serves_no_more_jobs_than_it_may(most: int | None, expected: int) -> None:
    executor = Executor(threads=1, processes=1, process_jobs=most)
    pids = [await pid_of(executor) for _ in range(3)]
    assert len(set(pids)) == expected
    await executor.close()
