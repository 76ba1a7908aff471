"""The processes of servers. A process is identified by pid and start time, because pids are reused."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_DEADLINE = 30.0
"""Seconds from SIGTERM to SIGKILL."""
KILL_DEADLINE = 10.0
POLL = 0.02
CLOCK_TOLERANCE = 1.0
"""Seconds. psutil computes start times from the clock, which may be adjusted."""


@dataclass(frozen=True)
class ProcessId:
    """`started` is the process's start time as psutil gives it."""

    pid: int
    started: float

    def find(self) -> psutil.Process | None:
        """The process, or None if it has ended."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > CLOCK_TOLERANCE or _has_ended(process):
                return None
        except psutil.NoSuchProcess:
            return None
        return process

    @property
    def state(self) -> str:
        """`running`, `frozen` or `stopped`."""
        process = self.find()
        if process is None:
            return "stopped"
        return "frozen" if process.status() == psutil.STATUS_STOPPED else "running"


def spawn(command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path) -> ProcessId:
    """Start a server in its own process group and append its output to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # Popen must not wait for the child: whether it runs is read from its pid and start time.
    child.returncode = 0
    return ProcessId(child.pid, psutil.Process(child.pid).create_time())


def freeze(process: ProcessId) -> None:
    """Send SIGSTOP to the server and its children, and wait until all threads of the server have stopped."""
    if process.find() is not None:
        os.killpg(process.pid, signal.SIGSTOP)
        _wait_for_state(process, "frozen")


def thaw(process: ProcessId) -> None:
    """Send SIGCONT to a frozen server and its children."""
    if process.find() is not None:
        os.killpg(process.pid, signal.SIGCONT)
        _wait_for_state(process, "running")


def _wait_for_state(process: ProcessId, state: str) -> None:
    deadline = time.monotonic() + KILL_DEADLINE
    while process.state != state and time.monotonic() < deadline:
        time.sleep(POLL)


def ask_to_end(process: ProcessId) -> None:
    """Send SIGTERM to the server, even if it is frozen."""
    found = process.find()
    if found is not None:
        found.resume()
        found.terminate()


def stop(process: ProcessId) -> None:
    """Send SIGTERM to the server, and SIGKILL to its group when it has ended or after STOP_DEADLINE."""
    ask_to_end(process)
    _wait(process, STOP_DEADLINE)
    kill(process)


def kill(process: ProcessId) -> None:
    """Send SIGKILL to the server and its children, as if the machine had crashed."""
    found = process.find()
    if found is None and _is_reused(process.pid):
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if found is not None:
        _wait(process, KILL_DEADLINE)


def _has_ended(process: psutil.Process) -> bool:
    """Whether it is a zombie without threads. Its ports are free only when its last thread has ended."""
    if process.status() != psutil.STATUS_ZOMBIE:
        return False
    try:
        return len(list(Path(f"/proc/{process.pid}/task").iterdir())) <= 1
    except FileNotFoundError:
        return True


def _is_reused(pid: int) -> bool:
    """Whether the pid of an ended server belongs to another process now."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait(process: ProcessId, seconds: float) -> None:
    """Wait until the process has ended, at most `seconds`. A zombie counts as ended."""
    deadline = time.monotonic() + seconds
    while process.find() is not None and time.monotonic() < deadline:
        time.sleep(POLL)
