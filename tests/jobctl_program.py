"""A program `jobctl` for scripts. Each call is a fork of a process that has imported the command.

A fork takes a tenth of the CPU time of a new interpreter. It is a process of its own, with the caller's
streams, folder and environment, and its exit status becomes the caller's.
"""

import gc
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path

from job_client.cli import main as jobctl
from local_stack.services import PYTHON_PATH
from local_stack.settings import ROOT
from tests.waiting import wait_for

IMPORTED = ("job_client.cli.app", "job_client.sync_client", "pydantic.fields", "pydantic.type_adapter")
"""The last two: typer imports them when it reads the first argument."""
MAX_CALL = 1024 * 1024
"""Bytes of a message to the server."""
STANDARD = {0: "r", 1: "w", 2: "w"}
"""The standard streams, with the mode of each."""
PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({address!r})
    call = [sys.argv[1:], os.getcwd(), dict(os.environ)]
    socket.send_fds(server, [json.dumps(call).encode()], [0, 1, 2])
    sys.exit(int(server.recv(16)))
"""


@contextmanager
def jobctl_in(folder: Path) -> Iterator[None]:
    """While the block runs, the folder has the program."""
    address = str(folder / "jobctl.socket")
    program = folder / "jobctl"
    program.write_text(PROGRAM.format(python=sys.executable, address=address))
    program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", __name__, address],
        env={**os.environ, **PYTHON_PATH},
        cwd=ROOT,
        stdin=subprocess.PIPE,
    )
    try:
        wait_for(Path(address).exists, "jobctl can be called")
        yield
    finally:
        # It ends with its standard input.
        server.communicate()


def serve(address: str) -> list[str] | None:
    """Answer until standard input ends. In a child: become as its caller, and return the arguments."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(address)
        server.listen()
        while server in select.select([server, sys.stdin], [], [])[0]:
            _reap()
            caller, _ = server.accept()
            with caller:
                if os.fork():
                    continue
                server.close()
                return answer(caller)
    return None


def _reap() -> None:
    """Forget the children that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def answer(caller: socket.socket) -> list[str] | None:
    """In one more child: return the arguments. Here: wait for it, and tell its exit status."""
    message, descriptors, _, _ = socket.recv_fds(caller, MAX_CALL, len(STANDARD))
    child = os.fork()
    if child:
        for descriptor in descriptors:
            os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        caller.send(str(status).encode())
        return None
    for descriptor, standard in zip(descriptors, STANDARD, strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    # Python's objects know what the former files were, such as seekable.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode) for number, mode in STANDARD.items())
    arguments, folder, environment = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return list(arguments)


def main() -> None:
    for name in IMPORTED:
        import_module(name)
    if len(os.listdir("/proc/self/task")) != 1:  # noqa: PTH208 - names are enough
        raise RuntimeError("a module has started a thread, which a fork would not copy")
    gc.collect()
    gc.freeze()
    arguments = serve(sys.argv[1])
    if arguments is not None:
        jobctl(arguments)


if __name__ == "__main__":
    main()
