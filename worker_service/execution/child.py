"""The worker's end of a job process, which calls one handler after another.

The standard library's pool and Pebble do not do: a death must be noticed at once, also that of an idle
process or one with exit status 0, and must not disturb any other job. One pipe for each process does that,
because the kernel closes the pipe when the process ends.
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

from contract_runtime.structs import MAX_BYTES
from service_runtime.exit_codes import how_it_ended
from worker_service.execution.child_pipe import Finished, Message, Started
from worker_service.execution.child_process import Call, serve
from worker_service.execution.invocation import Invocation
from worker_service.execution.invoke import InvocationResult
from worker_service.execution.line_buffer import Lines
from worker_service.execution.process_group import GroupEnds, terminate_group
from worker_service.handler_api.progress import ProgressUpdate

MAX_MESSAGE_BYTES = MAX_BYTES + 64 * 1024
"""The largest message: a result, and 64 KiB for what surrounds it."""
END_SECONDS = 1.0
"""How long a process may take to end after it has closed its pipe."""

# A fork would share the threads and sockets of gRPC.
_SPAWN = multiprocessing.get_context("spawn")


class ProcessDied(Exception):
    """The process ended before its handler did. The text says how."""


class Child:
    """The process starts with the first call."""

    def __init__(self, prepare: Callable[[], None], group_ends: GroupEnds) -> None:
        """`prepare` is run in the new process and must be picklable. `group_ends` ends its programs."""
        # For each call the process sends Started, then ProgressUpdates and Lines, then Finished.
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
        """How many handlers it was asked to call."""
        self.changed = ""
        """What a handler changed in the process for good. If not empty, do not use the process again."""

    @property
    def is_alive(self) -> bool:
        """Whether the process runs; False before the first call."""
        return self._process.is_alive()

    @property
    def is_usable(self) -> bool:
        """Whether it has not been killed."""
        return not self._killed

    def invoke(self, invocation: Invocation, on_started: Callable[[], None]) -> InvocationResult:
        """Call a handler in the process and block until it ends. Another thread may call `kill` meanwhile.

        `on_started`, and what gets progress and lines, are called in this thread. Raises ProcessDied.
        """
        self.calls += 1
        function, on_progress = invocation.function, invocation.listener.on_progress
        try:
            self._start()
            self._connection.send(
                Call(self.calls, function.__module__, function.__qualname__, invocation.job)
            )
            while True:
                match self._receive():
                    case Started():
                        on_started()
                    case ProgressUpdate() as update:
                        on_progress(update)
                    case Lines() as lines:
                        invocation.lines.add_all(lines)
                    case Finished(result, changed):
                        self.changed = changed
                        return result
        except (EOFError, OSError) as error:
            if self._process.pid is None:
                raise ProcessDied(f"it could not be started: {error}") from None
            raise ProcessDied(self._how_it_died()) from None

    def kill(self) -> None:
        """Kill the process, whatever it does, and terminate the programs that its handlers have started."""
        with self._starting:
            self._killed = True
        # If it is dead, it has been waited for, and its pid may belong to another process.
        if self._process.pid is not None and self._process.is_alive():
            self._end(self._process.pid)

    def _receive(self) -> Started | ProgressUpdate | Lines | Finished:
        """Raises EOFError or OSError if the process has ended, ProcessDied for a message of another call."""
        # The pidfd tells of the end even if a fork of the process still holds the pipe open.
        if all(number == self._pidfd for number, _ in self._poll.poll()):
            raise EOFError
        try:
            message = pickle.loads(self._connection.recv_bytes(MAX_MESSAGE_BYTES))  # noqa: S301 - our own process
        except (EOFError, OSError):
            raise
        except Exception:  # noqa: BLE001 - a handler may have written to the pipe
            message = None
        if not isinstance(message, Message) or message.call != self.calls:
            raise ProcessDied("it sent an unexpected message and was killed")
        return message.content

    def _how_it_died(self) -> str:
        if self._killed or self._process.pid is None:
            return "it was killed"
        # A pidfd does not reap the process, so its pid stays its own until `_end`.
        is_dead = self._pidfd is None or bool(connection.wait([self._pidfd], END_SECONDS))
        self._end(self._process.pid)
        return how_it_ended(self._process.exitcode) if is_dead else "it closed its pipe and was killed"

    def _end(self, pid: int) -> None:
        terminate_group(pid)
        self._process.kill()
        self._process.join(END_SECONDS)
        self._group_ends.watch(pid)

    def _start(self) -> None:
        with self._starting:
            if self._killed:
                raise ProcessDied("it was killed before it started")
            if self._process.pid is None:
                _start_without_ctrl_c(self._process)
                # Now only the process has this end of the pipe, so the pipe closes when the process ends.
                self._far_end.close()
                self._poll.register(self._connection.fileno(), select.POLLIN)
                with contextlib.suppress(OSError):  # it is dead already: the pipe is closed
                    self._pidfd = os.pidfd_open(self._process.pid or 0)
                    weakref.finalize(self, os.close, self._pidfd)
                    self._poll.register(self._pidfd, select.POLLIN)


def _start_without_ctrl_c(process: SpawnProcess) -> None:
    """Start `process` with SIGINT blocked, until its own code handles SIGINT.

    Ctrl-C goes to the whole process group, and a new process inherits the signal mask of this thread.
    """
    # `start` would start the tracker too, and then unblock SIGINT.
    resource_tracker.ensure_running()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
