"""The inside of a process that calls one handler after another for its worker."""

import contextlib
import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import connection
from typing import NamedTuple

from worker_service.execution.child_pipe import ChildPipe, Done, Message
from worker_service.execution.invoke import invoke_by_name
from worker_service.execution.process_state import ProcessState
from worker_service.handler_api.job import Job

F_SETSIG = 10
"""Of Linux; Python's fcntl has it from version 3.13 on only, under the same name."""


class Call(NamedTuple):
    """A handler, by its module and qualified name, and what it is to be called with. `run` numbers the calls."""

    run: int
    module: str
    qualified_name: str
    job: Job


def serve(worker: "connection.Connection[Message, Call]", prepare: Callable[[], None]) -> None:
    """Until the worker closes its end. `prepare` is run first."""
    # A function, not SIG_IGN, which the programs that handlers start would inherit.
    signal.signal(signal.SIGINT, _stay)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # It leads a process group, in which are all programs that its handlers start, and which Ctrl-C does not reach. No session
    # of its own: Linux shares the processors out by sessions, and each answer took twice the time.
    os.setpgid(0, 0)
    _end_with_worker()
    # A fork must neither answer for this process nor keep the pipe open when this process is gone.
    os.register_at_fork(after_in_child=worker.close)
    prepare()
    pipe = ChildPipe(worker)
    modules: set[str] = set()
    state = ProcessState()

    while True:
        try:
            run, module, qualified_name, job = worker.recv()
        except EOFError:
            return

        def begin(run: int = run, module: str = module) -> None:
            nonlocal state
            if module not in modules:
                # What a module does to the process when it is imported is there to stay.
                modules.add(module)
                state = ProcessState()
            pipe.begin(run)

        ended = invoke_by_name(module, qualified_name, job, begin, pipe.open(run))
        pipe.end(run, Done(ended, state.restore()))


def _stay(_number: int, _frame: object) -> None:
    """Ctrl-C is for the worker, which ends its processes."""


def _end_with_worker() -> None:
    """A worker killed by SIGKILL cannot end its processes, which may be in the middle of a handler, nor their programs."""
    worker = multiprocessing.parent_process()
    if worker is None:
        return
    # The kernel kills the group when the worker's end of this pipe is closed. Native code that does not let go of the
    # interpreter's lock would hold up a thread.
    with contextlib.suppress(OSError):
        fcntl.fcntl(worker.sentinel, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(worker.sentinel, F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(worker.sentinel, fcntl.F_SETFL, os.O_ASYNC)
    # And the thread sees what was closed before, or where the kernel does not do that.
    threading.Thread(
        target=_kill_group_after, args=(worker.sentinel,), name="worker-watch", daemon=True
    ).start()


def _kill_group_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os.killpg(0, signal.SIGKILL)
