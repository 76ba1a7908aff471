"""What a handler changes in its process or starts there does not reach other jobs, and ends with its job."""

import asyncio
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from tests.unit.worker_service.execution.test_executor import SPECS, WAYS, job, result_of, run
from tests.unit.worker_service.recording_listener import RecordingListener
from tests.waiting import until
from worker_service.execution import process_group
from worker_service.execution.child_pipe import Finished, Message
from worker_service.execution.executor import Executor
from worker_service.execution.invoke import InvocationResult
from worker_service.execution.outcome import Failed, Outcome, Reason

DEADLINE = 60.0
"""Enough to start a few processes on a busy machine."""
START = """
import os, pathlib, signal, subprocess, sys, time
def start(path, command, **options):
    "Start a shell that runs `command`, and wait for the line that it writes when it is ready."
    program = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, **options)
    program.stdout.readline()
    pathlib.Path(path).write_text(str(program.pid))
    return program
"""
HANG = "while True: time.sleep(1000)"
SLEEPS = "echo; exec sleep 1000"
IGNORES_SIGTERM = "trap '' TERM; echo; while :; do sleep 1000; done"


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
    return psutil.Process(int(path.read_text()))  # noqa: ASYNC240 - a small local file


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended. A zombie has: only its parent has not waited for it."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("action", "status"),
    [("return {}", 0), ("sys.exit()", 0), ("sys.exit(7)", 7), ("sys.exit('bad')", 1), ("raise KeyError", 1)],
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_fork_that_returns_ends_and_answers_for_no_job(
    shared: Executor, way: str, action: str, status: int
) -> None:
    wait = "return {'status': os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}"
    fork = f"pid = os.fork()\nif not pid: {action}\n{wait}"
    assert result_of(await do(shared, fork, way)) == {"status": status}
    for number in range(6):
        assert result_of(await do(shared, "return job.payload['mine']", way, mine={"n": number})) == {
            "n": number
        }


async def test_a_fork_cannot_report_progress(shared: Executor) -> None:
    listener = RecordingListener()
    fork = """
import worker_service
pid = os.fork()
if not pid:
    worker_service.progress(99, 'of the fork')
    time.sleep(0.3)
    os._exit(0)
os.waitpid(pid, 0)
return {}"""
    await shared.run(SPECS["act-process"], job("act-process", {"code": code(fork)}), listener=listener)
    assert listener.updates == []


FORKS = ["os.fork()", "__import__('ctypes').PyDLL(None).fork()"]


@pytest.mark.parametrize("fork", FORKS, ids=["python", "native"])
async def test_the_end_of_a_process_is_noticed_even_if_a_fork_of_it_lives_on(
    spawned: Executor, tmp_path: Path, fork: str
) -> None:
    path = tmp_path / "pid"
    body = f"""
pid = {fork}
if not pid:
    {HANG}
pathlib.Path({str(path)!r}).write_text(str(pid))
os._exit(3)"""
    outcome = await do(spawned, body)
    assert outcome == Failed(
        Reason.WORKER_PROCESS_DIED, "the process that ran the handler died: exit status 3"
    )
    left = await program(path)
    await until(lambda: is_gone(left))


@pytest.mark.parametrize(
    "message",
    [
        b"not a pickle",
        pickle.dumps(Message(0, Finished(InvocationResult(Failed("OLD", "of the job before"))))),
    ],
    ids=["not a message", "of another job"],
)
async def test_a_message_that_is_not_of_the_job_is_refused_and_the_process_killed(
    shared: Executor, message: bytes
) -> None:
    pid = await pid_of(shared)
    framed = struct.pack("!i", len(message)) + message
    body = f"""
for number in map(int, os.listdir('/proc/self/fd')):
    try:
        if os.readlink(f'/proc/self/fd/{{number}}').startswith('socket'): os.write(number, {framed!r})
    except OSError: pass
{HANG}"""
    outcome = await do(shared, body)
    assert outcome == Failed(
        Reason.WORKER_PROCESS_DIED,
        "the process that ran the handler died: it sent an unexpected message and was killed",
    )
    assert await pid_of(shared) != pid


async def test_a_handler_that_closes_all_files_fails_only_its_own_job(shared: Executor) -> None:
    outcome = await do(shared, f"os.closerange(3, os.sysconf('SC_OPEN_MAX'))\n{HANG}")
    assert isinstance(outcome, Failed)
    assert outcome.message.endswith("it closed its pipe and was killed")
    await pid_of(shared)


async def test_a_program_starts_with_the_default_signal_handling(spawned: Executor) -> None:
    body = "return {'status': subprocess.check_output(['cat', '/proc/self/status'], text=True)}"
    lines = result_of(await do(spawned, body))["status"].splitlines()
    masks = dict(line.split(":\t") for line in lines if line.startswith("Sig"))
    blocked, ignored, caught = (int(masks[name], 16) for name in ("SigBlk", "SigIgn", "SigCgt"))
    assert (blocked, caught) == (0, 0)
    # The parent of the tests may ignore other signals, and every program inherits that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
        assert not ignored & 1 << (number - 1)


@pytest.mark.parametrize(
    ("how", "command"),
    [
        *[(how, SLEEPS) for how in ("timeout", "cancel", "end", "error")],
        *[(how, IGNORES_SIGTERM) for how in ("close", "end")],
    ],
)
async def test_a_program_ends_with_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, command: str
) -> None:
    monkeypatch.setattr(process_group, "GRACE_SECONDS", 0.3)
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


async def test_a_program_gets_time_to_clean_up(shared: Executor, tmp_path: Path) -> None:
    path, tidy = tmp_path / "pid", tmp_path / "tidy"
    command = f"trap 'sleep 0.2; touch {tidy}; exit' TERM; echo; while :; do sleep 0.01; done"
    await do(shared, f"start({str(path)!r}, {command!r})\nreturn {{}}")
    started = await program(path)
    await until(lambda: is_gone(started))
    assert tidy.exists()


async def test_a_program_with_a_session_of_its_own_lives_on(tmp_path: Path) -> None:
    executor = Executor(threads=1, processes=1)
    path = tmp_path / "pid"
    await do(executor, f"start({str(path)!r}, {SLEEPS!r}, start_new_session=True)\nreturn {{}}")
    await executor.close()
    started = await program(path)
    assert not is_gone(started)
    started.kill()


@pytest.mark.parametrize(
    "hold", [HANG, "__import__('re').match('(a+)+$', 'a' * 64 + 'b')"], ids=["sleeps", "native"]
)
def test_a_process_and_its_programs_end_when_the_worker_is_killed(tmp_path: Path, hold: str) -> None:
    path = tmp_path / "pid"
    body = code(f"start({str(path)!r}, {IGNORES_SIGTERM!r})\n{hold}")
    worker_code = f"""
import asyncio
from tests.unit.worker_service import sample_handlers
from worker_service import Job
from worker_service.execution.executor import Executor
from worker_service.handler_api.handler import HandlerSpec

async def main():
    executor = Executor(threads=1, processes=1)
    spec = HandlerSpec("act-process", sample_handlers.act_in_process, "process")
    await executor.run(spec, Job("0190-id", "act-process", 1, {{"code": {body!r}}}))

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
    "pid": os.getpid(), "cwd": os.getcwd(), "umask": mask,
    "environment": {name: text for name, text in os.environ.items() if not name.startswith("PYTEST")},
    "alarm": signal.getitimer(signal.ITIMER_REAL)[0], "recursion": sys.getrecursionlimit(),
    "usr1": str(signal.getsignal(signal.SIGUSR1)), "files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "mask": str(signal.pthread_sigmask(signal.SIG_BLOCK, ())), "nice": os.getpriority(os.PRIO_PROCESS, 0),
}"""


@pytest.mark.parametrize(
    "action",
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
async def test_what_a_job_changes_is_restored_for_the_next_job(shared: Executor, action: str) -> None:
    before = result_of(await do(shared, LOOK))
    assert result_of(await do(shared, f"{action}\nreturn {{}}")) == {}
    assert result_of(await do(shared, LOOK)) == before
    assert isinstance(await do(shared, f"{action}\nraise KeyError"), Failed)
    assert result_of(await do(shared, LOOK)) == before


@pytest.mark.parametrize(
    ("action", "changed"),
    [
        ("signal.signal(signal.SIGUSR1, lambda *_: None)", "signal handlers"),
        ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])", "signal mask"),
        ("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99))", "resource limits"),
        ("subprocess.Popen(['sleep', '1000'])", "programs that still run"),
        ("import shutil, tempfile; d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)", ""),
        ("os.getcwd = None", "state that could not be restored (TypeError)"),
    ],
)
async def test_a_process_that_a_job_has_changed_for_good_is_renewed(
    shared: Executor, action: str, changed: str
) -> None:
    before = result_of(await do(shared, LOOK))
    with capture_logs() as logs:
        assert result_of(await do(shared, f"{action}\nreturn {{}}")) == {}
    renewed = [line["changed"] for line in logs if line["event"] == "process_renewed"]
    assert renewed == ([changed] if changed else [])
    after = result_of(await do(shared, LOOK))
    assert (after.pop("pid") != before.pop("pid")) == bool(changed)
    assert after == before


@pytest.mark.parametrize(("process_jobs", "jobs"), [(1, 2), (2, 3)])
async def test_a_process_is_renewed_after_its_number_of_jobs(process_jobs: int, jobs: int) -> None:
    executor = Executor(threads=1, processes=1, process_jobs=process_jobs)
    pids = [await pid_of(executor) for _ in range(jobs)]
    assert len(set(pids)) == 2
    assert len(set(pids[:process_jobs])) == 1
    await executor.close()
