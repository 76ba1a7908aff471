"""Starts services by fork from a process that has imported them. That takes a tenth of the usual CPU time.

Such a service has an environment, a folder, a process group and an output of its own, and its interpreter
ends with it, as with `python -m`.
"""

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self, cast

import psutil

from local_stack import process
from local_stack.process import ProcessId
from local_stack.services import PYTHON_PATH
from local_stack.settings import ROOT
from tests.waiting import wait_for
from worker_service.execution.shared_loop import SharedLoop

SERVICES = ("api_server", "worker_service")
IMPORTED = ("api_server.bootstrap", "api_server.one_process", "worker_service.one_process", "tests.handlers")
FIRST_OF_ALL = frozenset({"FAULTS_CLOCK_SHIFT"})
"""Variables that have an effect only before the services are imported."""
MAX_ORDER = 1024 * 1024
"""Bytes of a message to the fork server."""


@dataclass(frozen=True)
class Order:
    """Start a module in a folder. The order comes together with the file that gets all output."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str


class ForkedProcess:
    """A child of the fork server, to be used like a Popen object."""

    def __init__(self, server: "ForkServer", pid: int) -> None:
        self._server = server
        self.pid = pid

    def poll(self) -> int | None:
        """The exit status, or None while it runs. A signal that killed it is a negative number."""
        return self._server.exit_status(self.pid)

    def wait(self, timeout: float) -> int:
        """The exit status. Raises AssertionError after `timeout` seconds."""
        wait_for(lambda: self.poll() is not None, f"process {self.pid} has ended", timeout)
        return cast("int", self.poll())

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


Child = subprocess.Popen[bytes] | ForkedProcess


class ForkServer:
    """Use it as a context manager. It may be used by several threads."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                # gRPC reads its variable when it is imported.
                env={**os.environ, **PYTHON_PATH, "GRPC_VERBOSITY": "ERROR"},
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket = ours
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait()

    def spawn(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path
    ) -> ProcessId:
        """As process.spawn, which starts all that cannot be forked."""
        if not can_fork(command, environment):
            return process.spawn(command, environment, directory, log)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            pid = self._fork(command, {**os.environ, **environment}, directory, output.fileno())
        return ProcessId(pid, psutil.Process(pid).create_time())

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], directory: Path, output: int
    ) -> "Child":
        """Start a child that the caller waits for. `output`: a file descriptor."""
        variables = {**os.environ, **environment}
        if can_fork(command, environment):
            return ForkedProcess(self, self._fork(command, variables, directory, output))
        return subprocess.Popen(command, env=variables, cwd=directory, stdout=output, stderr=output)

    def _fork(self, command: Sequence[str], environment: dict[str, str], directory: Path, output: int) -> int:
        order = Order(command[2], list(command[3:]), environment, str(directory))
        pid = int(self._ask(asdict(order), output))
        # A signal to the group must not come before the group exists.
        wait_for(lambda: os.getpgid(pid) == pid, "the service has a process group")
        return pid

    def exit_status(self, pid: int) -> int | None:
        status: int | None = self._ask({"exit_status_of": pid})
        return status

    def _ask(self, question: dict[str, Any], *descriptors: int) -> Any:
        with self._turn:
            socket.send_fds(self._socket, [json.dumps(question).encode()], descriptors)
            return json.loads(self._socket.recv(MAX_ORDER))


def can_fork(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    return (
        list(command[:2]) == [sys.executable, "-m"]
        and command[2] in SERVICES
        and FIRST_OF_ALL.isdisjoint(environment)
    )


def serve(orders: socket.socket) -> tuple[Order, int] | None:
    """Answer until the connection ends. In a child: return its order, and the file for its output."""
    ended: dict[int, int] = {}
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, MAX_ORDER, 1)
        if not message:
            return None
        question = json.loads(message)
        while (child := _ended_child()) is not None:
            ended[child[0]] = child[1]
        if "exit_status_of" in question:
            answer = ended.get(question["exit_status_of"])
        else:
            answer = os.fork()
            if answer == 0:
                orders.close()
                return Order(**question), descriptors[0]
            os.close(descriptors[0])
            ended.pop(answer, None)
        orders.send(json.dumps(answer).encode())


def _ended_child() -> tuple[int, int] | None:
    """Its process id and its exit status."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None


def run(order: Order, output: int) -> None:
    """Run the module as `python -m` does."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for opened, standard in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(opened, standard)
    os.close(nothing)
    os.close(output)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.directory)
    sys.argv[1:] = order.arguments
    added = [path for path in order.environment["PYTHONPATH"].split(os.pathsep) if path not in sys.path]
    if added:
        sys.path[:0] = added
        sys.modules.pop("sitecustomize", None)
        with suppress(ModuleNotFoundError):
            import_module("sitecustomize")  # as at Python's start
    # This process is a worker, not a copy of one that a handler made.
    SharedLoop.is_of_a_fork = False
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


def main() -> None:
    for name in IMPORTED:
        import_module(name)
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - names are enough
        raise RuntimeError("a module has started a thread, which a fork would not copy")
    # The children share the memory of all that exists now.
    gc.collect()
    gc.freeze()
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order is not None:
        run(*order)


if __name__ == "__main__":
    main()
