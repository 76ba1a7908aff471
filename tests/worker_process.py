"""Workers that are children of the test, so that it sees how they end and what they say."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_stack import services
from local_stack.settings import ROOT
from local_stack.stack import Stack
from tests.conftest import WORKER
from tests.fork_server import Child, ForkServer
from tests.waiting import wait_for

KILL_DEADLINE = 10.0


@dataclass(frozen=True)
class WorkerProcess:
    """One process and all that it wrote."""

    process: Child
    log: Path

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def names(self) -> set[str]:
        return {line["event"] for line in self.events()}

    def told(self) -> list[str]:
        """What it said to people, beside its log."""
        return [line for line in self.log.read_text().splitlines() if not line.startswith("{")]

    def said(self) -> str:
        """Its log. Empty if it writes to something else than a file."""
        return self.log.read_text() if self.log.is_file() else ""

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


class WorkerProcesses:
    """Starts workers of a stack."""

    def __init__(self, stack: Stack, fork_server: ForkServer, directory: Path, cleanup: ExitStack) -> None:
        self._stack = stack
        self._fork_server = fork_server
        self._directory = directory
        self._cleanup = cleanup
        self._count = 0

    def start(
        self,
        number: int,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> WorkerProcess:
        """On the port of the stack's worker of this number, under its name if `environment` gives no other.

        `log`: what it writes to; None: a file of its own.
        """
        part = services.worker(self._stack.settings, number)
        self._count += 1
        log = log or self._directory / f"worker-process-{self._count}.log"
        output = self._cleanup.enter_context(log.open("wb"))
        variables = {**part.environment, **WORKER, **(environment or {})}
        command = (sys.executable, *arguments) if arguments else part.command
        process = self._fork_server.start(command, variables, ROOT, output.fileno())
        self._cleanup.callback(process.wait, KILL_DEADLINE)
        self._cleanup.callback(process.kill)
        return WorkerProcess(process, log)

    def start_serving(
        self,
        number: int,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> WorkerProcess:
        """The same, and wait until it serves. Raises AssertionError, with its log, if it does not."""
        worker = self.start(number, *arguments, environment=environment, log=log)
        is_ready = services.worker(self._stack.settings, number).is_ready
        try:
            wait_for(lambda: worker.process.poll() is not None or is_ready(), "the worker serves")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{worker.said()}") from None
        assert worker.process.poll() is None, f"the worker has ended\n{worker.said()}"
        return worker


@contextmanager
def worker_processes(stack: Stack, fork_server: ForkServer, directory: Path) -> Iterator[WorkerProcesses]:
    """Kills at the end what still runs."""
    with ExitStack() as cleanup:
        yield WorkerProcesses(stack, fork_server, directory, cleanup)
