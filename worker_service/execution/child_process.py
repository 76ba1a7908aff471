"""The code that runs inside a job process. It calls one handler after another for its worker."""

import contextlib
import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import connection
from typing import NamedTuple

from worker_service.execution.child_pipe import ChildPipe, Finished, Message
from worker_service.execution.invoke import invoke_by_name
from worker_service.execution.process_state import ProcessState
from worker_service.handler_api.job import Job

F_SETSIG = 10
"""A Linux constant. Python's fcntl module has it only from version 3.13 on."""


class Call(NamedTuple):
    """Call the handler with this module and qualified name. `number` counts the calls of a process."""

    number: int
    module: str
    qualified_name: str
    job: Job


def serve(worker: "connection.Connection[Message, Call]", prepare: Callable[[], None]) -> None:
    """Run `prepare`, then serve calls until the worker closes its end of the pipe."""
    # A function and not SIG_IGN: the programs that handlers start would inherit SIG_IGN.
    signal.signal(signal.SIGINT, _ignore_ctrl_c)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # Lead a process group: it has all programs that handlers start, and Ctrl-C does not reach it. A session
    # of its own would do the same, but Linux divides the processors by session, and each answer took twice
    # the time.
    os.setpgid(0, 0)
    _end_with_worker()
    # A fork must not answer for this process, nor keep the pipe open when this process has ended.
    os.register_at_fork(after_in_child=worker.close)
    prepare()
    pipe = ChildPipe(worker)
    modules: set[str] = set()
    state = ProcessState()

    while True:
        try:
            number, module, qualified_name, job = worker.recv()
        except EOFError:
            return

        def on_started(number: int = number, module: str = module) -> None:
            nonlocal state
            if module not in modules:
                # A module may change the process when it is imported. Such changes stay.
                modules.add(module)
                state = ProcessState()
            pipe.start(number)

        output = pipe.open(number)
        result = invoke_by_name(module, qualified_name, job, on_started, output.on_progress, output)
        pipe.finish(number, Finished(result, state.restore()))


def _ignore_ctrl_c(_number: int, _frame: object) -> None:
    """Ctrl-C is for the worker, which ends its processes."""


def _end_with_worker() -> None:
    """End this process and the programs of its handlers if the worker dies.

    A worker killed by SIGKILL cannot end its processes itself, and they may be in the middle of a handler.
    """
    worker = multiprocessing.parent_process()
    if worker is None:
        return
    # The kernel kills the process group when the worker's end of this pipe closes. A thread alone would not
    # do: native code that does not release the interpreter lock would stop it from running.
    with contextlib.suppress(OSError):
        fcntl.fcntl(worker.sentinel, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(worker.sentinel, F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(worker.sentinel, fcntl.F_SETFL, os.O_ASYNC)
    # The thread is for a worker that was dead before, and for kernels that do not send the signal.
    threading.Thread(
        target=_kill_group_after, args=(worker.sentinel,), name="worker-watch", daemon=True
    ).start()


def _kill_group_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os.killpg(0, signal.SIGKILL)
