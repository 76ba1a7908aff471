"""A worker's end of a process that calls one handler after another for it.

Why no pool of the standard library or of Pebble: this one must notice every death at once, of an idle process and at exit
status 0 too, and let no other job feel it. A pipe for each process does that: the kernel closes it.
"""

import contextlib
import multiprocessing
import os
import pickle
import select
import signal
import threading
import weakref
from collections.abc import Callable
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess
from typing import Any

from contract_runtime.structs import MAX_BYTES
from service_runtime.exit_codes import how_it_ended
from worker_service.execution.child_pipe import Begun, Done, Message
from worker_service.execution.child_process import Call, serve
from worker_service.execution.invoke import Ended
from worker_service.execution.process_group import GroupEnds, tell_group_to_end
from worker_service.handler_api.job import Job
from worker_service.handler_api.progress import ProgressSink, ProgressUpdate

MOST_BYTES = MAX_BYTES + 64 * 1024
"""Of a message: a result, and what is around it."""
END_SECONDS = 1.0
"""How long a process may take to end once it has closed its pipe."""

# A fork would share the threads and sockets of gRPC.
_SPAWN = multiprocessing.get_context("spawn")


class ProcessDied(Exception):
    """The process that ran a handler ended before the handler did; says how."""


class Child:
    """The process itself starts with the first call."""

    def __init__(self, prepare: Callable[[], None], group_ends: GroupEnds) -> None:
        """`prepare` is run in the new process and must be picklable. `group_ends` watches what the process leaves behind."""
        # Up comes, in this order for each job: Begun, Words, Done.
        self._connection: connection.Connection[Call, Message]
        self._far_end: connection.Connection[Message, Call]
        self._connection, self._far_end = _SPAWN.Pipe()
        self._process = _SPAWN.Process(
            target=serve, args=(self._far_end, prepare), name="job-process", daemon=True
        )
        self._group_ends = group_ends
        self._poll = select.poll()
        self._pidfd: int | None = None
        self._starting = threading.Lock()
        self._killed = False
        self.calls = 0
        """How many handlers it has been given."""
        self.changed = ""
        """What a handler has changed in it for good, in words: it must not be given another one."""

    @property
    def is_alive(self) -> bool:
        """Whether the process runs; not before the first call."""
        return self._process.is_alive()

    @property
    def is_usable(self) -> bool:
        """Whether it has not been killed."""
        return not self._killed

    def call(
        self, function: Callable[[Job], Any], job: Job, begin: Callable[[], None], say: ProgressSink
    ) -> Ended:
        """Run a handler there and wait for its end. Blocks; `kill` may be called meanwhile. Raises ProcessDied.

        `begin` is called when the handler starts, `say` with its words, both in this thread.
        """
        self.calls += 1
        try:
            self._start()
            self._connection.send(Call(self.calls, function.__module__, function.__qualname__, job))
            while True:
                match self._answer():
                    case Begun():
                        begin()
                    case ProgressUpdate() as word:
                        say(word)
                    case Done(ended, changed):
                        self.changed = changed
                        return ended
        except (EOFError, OSError) as error:
            if self._process.pid is None:
                raise ProcessDied(f"it could not be started: {error}") from None
            raise ProcessDied(self._how_it_died()) from None

    def kill(self) -> None:
        """End the process at once, whatever it is doing, and tell the programs that it has started to end."""
        with self._starting:
            self._killed = True
        # One that was dead before has been waited for: its number may be another's by now.
        if self._process.pid is not None and self._process.is_alive():
            self._end(self._process.pid)

    def _answer(self) -> Begun | ProgressUpdate | Done:
        """The next message. Raises EOFError or OSError once there is none, ProcessDied if it is not of this call."""
        # A fork may hold the pipe open when the process is dead.
        if all(number == self._pidfd for number, _ in self._poll.poll()):
            raise EOFError
        try:
            message = pickle.loads(self._connection.recv_bytes(MOST_BYTES))  # noqa: S301 - it is our own process
        except (EOFError, OSError):
            raise
        except Exception:  # noqa: BLE001 - a handler may have written to the pipe
            message = None
        if not isinstance(message, Message) or message.run != self.calls:
            raise ProcessDied("it did not answer for this job, and was killed")
        return message.told

    def _how_it_died(self) -> str:
        if self._killed or self._process.pid is None:
            return "it was killed"
        # This does not wait for the process as a parent does, so that its number stays its own.
        is_dead = self._pidfd is None or bool(connection.wait([self._pidfd], END_SECONDS))
        self._end(self._process.pid)
        return how_it_ended(self._process.exitcode) if is_dead else "it closed its pipe, and was killed"

    def _end(self, pid: int) -> None:
        tell_group_to_end(pid)
        self._process.kill()
        self._process.join(END_SECONDS)
        self._group_ends.watch(pid)

    def _start(self) -> None:
        with self._starting:
            if self._killed:
                raise ProcessDied("it was killed before it started")
            if self._process.pid is None:
                _start_without_ctrl_c(self._process)
                # The process's own copy is the last one: the pipe closes when it ends.
                self._far_end.close()
                self._poll.register(self._connection.fileno(), select.POLLIN)
                with contextlib.suppress(OSError):  # it is dead already, and the pipe tells
                    self._pidfd = os.pidfd_open(self._process.pid or 0)
                    weakref.finalize(self, os.close, self._pidfd)
                    self._poll.register(self._pidfd, select.POLLIN)


def _start_without_ctrl_c(process: SpawnProcess) -> None:
    """Ctrl-C goes to the whole process group. The new process has this thread's signal mask, until it handles SIGINT."""
    resource_tracker.ensure_running()  # else `start` does it, and that unblocks SIGINT
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
