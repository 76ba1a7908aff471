"""Runs code as `python -c` does, by fork from a process that has imported what the code needs.

That takes a tenth of the CPU time of a new interpreter. Each run has standard files, an environment and an
exit status of its own, and its interpreter ends with it.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Any, Self

from tests.waiting import wait_for

ROOT = Path(__file__).parents[1]
MAX_ORDER = 128 * 1024
"""Bytes of a message to the server."""


@dataclass(frozen=True)
class Order:
    """Comes together with the files for standard input, output and error."""

    code: str
    arguments: list[str]
    environment: dict[str, str]
    directory: str


class CodeServer:
    """Use it as a context manager."""

    def __init__(self, *imports: str, **variables: str) -> None:
        """`imports`: the modules that the server imports. They must start no thread.

        `variables`: what to add to the environment, also for all runs.
        """
        self._environment = {**os.environ, **variables}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked_code", str(theirs.fileno()), *imports],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._socket = ours

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait()

    def run(
        self,
        code: str,
        *arguments: str,
        stderr: int | None = None,
        environment: Mapping[str, str] | None = None,
        directory: Path = ROOT,
    ) -> "ForkedCode":
        """Start a run. `stderr`: a file descriptor, or None for a pipe.

        `environment`: in place of the server's.
        """
        variables = dict(self._environment if environment is None else environment)
        order = Order(code, list(arguments), variables, str(directory))
        stdin, to_stdin = os.pipe()
        from_stdout, stdout = os.pipe()
        from_stderr, far_stderr = os.pipe() if stderr is None else (None, os.dup(stderr))
        pid = self._ask(json.dumps(asdict(order)).encode(), stdin, stdout, far_stderr)
        for descriptor in (stdin, stdout, far_stderr):
            os.close(descriptor)
        return ForkedCode(self, pid, to_stdin, from_stdout, from_stderr)

    def exit_status(self, pid: int) -> int | None:
        """None while it runs. A signal that killed it is a negative number."""
        status: int | None = self._ask(json.dumps(pid).encode())
        return status

    def _ask(self, question: bytes, *descriptors: int) -> Any:
        socket.send_fds(self._socket, [question], descriptors)
        return json.loads(self._socket.recv(MAX_ORDER))


class ForkedCode:
    """A run, to be used like a Popen object with pipes for text.

    At its end the context manager kills the run and the children that it left.
    """

    def __init__(
        self, server: CodeServer, pid: int, to_stdin: int, from_stdout: int, from_stderr: int | None
    ) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None
        self.stdin: IO[str] = os.fdopen(to_stdin, "w", encoding="utf-8")
        self.stdout: IO[str] = os.fdopen(from_stdout, "r", encoding="utf-8")
        self.stderr: IO[str] | None = (
            None if from_stderr is None else os.fdopen(from_stderr, "r", encoding="utf-8")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.kill()
        self.wait()
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.exit_status(self.pid)
        return self.returncode

    def wait(self) -> int:
        """The exit status. Raises AssertionError if the run does not end."""
        wait_for(lambda: self.poll() is not None, f"process {self.pid} has ended")
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self) -> tuple[str, str]:
        """End its input, read its output and its errors, and wait for its end."""
        self.stdin.close()
        files = [file for file in (self.stdout, self.stderr) if file is not None]
        with ThreadPoolExecutor() as pool:
            out, *err = pool.map(lambda file: file.read(), files)
        self.wait()
        return out, "".join(err)


def serve(orders: socket.socket) -> Order | None:
    """Answer until the connection ends. In a child: return its order, with its standard files in place."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, MAX_ORDER, 3)
        if not message:
            return None
        question = json.loads(message)
        if isinstance(question, int):
            answer = _exit_status(question)
        else:
            answer = os.fork()
            if answer == 0:
                orders.close()
                os.setpgid(0, 0)
                for standard, descriptor in enumerate(descriptors):
                    os.dup2(descriptor, standard)
            for descriptor in descriptors:
                os.close(descriptor)
            if answer == 0:
                return Order(**question)
        orders.send(json.dumps(answer).encode())


def _exit_status(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def main() -> None:
    for name in sys.argv[2:]:
        import_module(name)
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - names are enough
        raise RuntimeError("a module has started a thread, which a fork would not copy")
    # The children share the memory of all that exists now.
    gc.collect()
    gc.freeze()
    order = serve(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.directory)
    sys.argv = ["-c", *order.arguments]
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(order.code, module.__dict__)  # noqa: S102 - the code is of a test


if __name__ == "__main__":
    main()
