"""A process that calls one handler after another for its worker.

Why no pool of the standard library or of Pebble: this one must notice every death at once, of an idle process and at exit
status 0 too, and let no other job feel it. A pipe for each process does that: the kernel closes it.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any

from service_runtime.exit_codes import how_it_ended
from worker_service.calling import Ended, call_by_name
from worker_service.job import Job
from worker_service.outbox import Begun, Message, Outbox
from worker_service.saying import Say, Word

Call = tuple[str, str, Job]
"""Module and qualified name of a handler, and what it is to be called with."""

# A fork would share the threads and sockets of gRPC.
_SPAWN = multiprocessing.get_context("spawn")


class ProcessDied(Exception):
    """The process that ran a handler ended before the handler did; says how."""


class Child:
    """The worker's end. The process itself starts with the first call."""

    def __init__(self, prepare: Callable[[], None]) -> None:
        """`prepare` is run in the new process and must be picklable."""
        # Up comes, in this order for each job: Begun, Words, Ended.
        self._connection: connection.Connection[Call, Message]
        self._far_end: connection.Connection[Message, Call]
        self._connection, self._far_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=_serve, args=(self._far_end, prepare), name="job-process", daemon=True
        )
        self._starting = threading.Lock()
        self._killed = False

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def call(self, function: Callable[[Job], Any], job: Job, begin: Callable[[], None], say: Say) -> Ended:
        """Run a handler there and wait for its end. Blocks; `kill` may be called meanwhile. Raises ProcessDied.

        `begin` is called when the handler starts, `say` with its words, both in this thread.
        """
        try:
            self._start()
            self._connection.send((function.__module__, function.__qualname__, job))
            while True:
                match self._connection.recv():
                    case Begun():
                        begin()
                    case Word() as word:
                        say(word)
                    case ended:
                        return ended
        except (EOFError, OSError) as error:
            if self._process.pid is None:
                raise ProcessDied(f"it could not be started: {error}") from None
            self._process.join()
            raise ProcessDied(how_it_ended(self._process.exitcode)) from None

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        with self._starting:
            self._killed = True
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()

    def _start(self) -> None:
        with self._starting:
            if self._killed:
                raise ProcessDied("it was killed before it started")
            if self._process.pid is None:
                _start_without_ctrl_c(self._process)
                # The process's own copy is the last one: the pipe closes when it ends.
                self._far_end.close()


def _start_without_ctrl_c(process: SpawnProcess) -> None:
    """Ctrl-C goes to the whole process group. The new process has this thread's signal mask, until it ignores SIGINT."""
    resource_tracker.ensure_running()  # else `start` does it, and that unblocks SIGINT
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve(worker: "connection.Connection[Message, Call]", prepare: Callable[[], None]) -> None:
    """In the new process, until the worker closes its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    prepare()
    outbox = Outbox(worker)
    while True:
        try:
            module, qualified_name, job = worker.recv()
        except EOFError:
            return
        ended = call_by_name(module, qualified_name, job, outbox.begin, outbox.open())
        outbox.end(ended)


def _end_with_parent() -> None:
    """A worker killed by SIGKILL cannot end its processes, which may be in the middle of a handler."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
