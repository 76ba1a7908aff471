"""The processes of one system: started in order, watched, stopped in reverse order."""

import os
import shutil
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.usage import Usage
from local_stack import process
from local_stack.part import Part, StackError
from local_stack.process import ProcessId
from local_stack.settings import ROOT

READY_DEADLINE = 60.0
POLL = 0.05
CHECK_EVERY = 1.0


class Servers:
    """Each part has its own log file in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: list[tuple[Part, ProcessId]] = []
        self._checked = 0.0

    def start(self, *parts: Part) -> None:
        """Start these parts at the same time and wait until all are ready. Raises StackError."""
        for part in parts:
            part.check_ports()
            part.prepare()
            started = process.spawn(part.command, part.environment, ROOT, self.log_of(part))
            self._running.append((part, started))
        for part in parts:
            wait_until(part.is_ready, f"{part.key} is ready, see {self.log_of(part)}", READY_DEADLINE)

    def log_of(self, part: Part) -> Path:
        return self._directory / "logs" / f"{part.key}.log"

    def usage(self) -> Usage:
        pids: defaultdict[str, list[int]] = defaultdict(list)
        for part, started in self._running:
            pids[part.name].append(started.pid)
        return Usage(pids)

    def pid(self, role: str) -> int:
        """The pid of the first process of a role."""
        return next(started.pid for part, started in self._running if part.name == role)

    def check_all_run(self) -> None:
        """Raise StackError if a process has ended. Checks at most once per second."""
        if time.monotonic() - self._checked < CHECK_EVERY:
            return
        self._checked = time.monotonic()
        for part, started in self._running:
            if started.find() is None:
                raise StackError(f"{part.key} has ended, see {self.log_of(part)}")

    def stop(self) -> None:
        while self._running:
            _, started = self._running.pop()
            process.stop(started)


@contextmanager
def servers(directory: Path) -> Iterator[Servers]:
    """Stop the servers at the end of the block, also after an error or a SIGTERM."""
    running = Servers(directory)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def data_directory(output: Path) -> Iterator[Path]:
    """A directory for the data and logs of one system. It is kept if the block fails."""
    directory = output / "servers"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


def wait_until(holds: Callable[[], bool], what: str, seconds: float, poll: float = POLL) -> None:
    """Raises StackError when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise StackError(f"this did not happen within {seconds:g} s: {what}")
        time.sleep(poll)
