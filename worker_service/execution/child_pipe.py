"""The messages that a job process sends to its worker: a handler started, its progress and its lines, and how
it ended.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from worker_service.execution.invoke import InvocationResult
from worker_service.execution.line_buffer import JobLine, Lines, LineSink, LinesToSend
from worker_service.handler_api.progress import ProgressUpdate

SEND_SECONDS = 0.1
"""Progress and lines are sent at least this far apart. Of the updates in between only the last is sent."""


class Started:
    """The handler has been found and is now called."""


class Finished(NamedTuple):
    """The handler has ended. `changed` names what it changed in its process for good, or is empty."""

    result: InvocationResult
    changed: str = ""


class Message(NamedTuple):
    """`call` is the number of the call that the message belongs to, as the worker gave it."""

    call: int
    content: Started | ProgressUpdate | Lines | Finished


class CallOutput(LineSink):
    """What the handler of one call says: its latest progress, and its lines."""

    def __init__(self, call: int, on_new: Callable[[], None]) -> None:
        super().__init__()
        self.call = call
        self._on_new = on_new
        self._latest: ProgressUpdate | None = None
        self._sent: ProgressUpdate | None = None
        self._lines = LinesToSend()

    def on_progress(self, update: ProgressUpdate) -> None:
        """A ProgressSink."""
        self._latest = update
        self._on_new()

    def add(self, line: JobLine) -> None:
        self._lines.buffer.add(line)
        self._on_new()

    def take(self) -> Iterator[ProgressUpdate | Lines]:
        """What was not taken before."""
        if (lines := self._lines.take()) is not None:
            yield lines
        latest = self._latest
        if latest is not None and latest is not self._sent:
            self._sent = latest
            yield latest

    def take_lines(self) -> Lines | None:
        return self._lines.take()


class ChildPipe:
    """Sends progress and lines in a thread of its own, which starts when it is needed. So no handler waits.

    It belongs to this process. In a process that a handler forks it sends nothing.
    """

    def __init__(self, worker: "Connection[Message, Any]") -> None:
        self._worker = worker
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._output: CallOutput | None = None
        self._is_new = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, call: int) -> CallOutput:
        """Takes what the handler of the next call says. After `finish` it is dropped."""
        self._output = output = CallOutput(call, self._note_new)
        return output

    def start(self, call: int) -> None:
        """Send that the handler started."""
        with self._sending:
            self._worker.send(Message(call, Started()))

    def finish(self, call: int, finished: Finished) -> None:
        """Send the lines that are left, and how the handler ended. Unsent progress is dropped."""
        with self._sending:
            output, self._output = self._output, None
            if output is not None and (lines := output.take_lines()) is not None:
                self._worker.send(Message(call, lines))
            self._worker.send(Message(call, finished))

    def _note_new(self) -> None:
        if not self._is_new.is_set():
            self._is_new.set()
            self._ensure_thread()

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_output, name="handler-output", daemon=True)
            self._thread.start()

    def _send_output(self) -> None:
        with contextlib.suppress(OSError):  # the worker has ended
            while os.getpid() == self._pid:
                self._is_new.wait()
                self._is_new.clear()
                with self._sending:
                    output = self._output
                    if output is not None:
                        for content in output.take():
                            self._worker.send(Message(output.call, content))
                time.sleep(SEND_SECONDS)
