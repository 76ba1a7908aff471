"""The messages that a job process sends to its worker: a handler started, its progress, and how it ended."""

import contextlib
import os
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from worker_service.execution.invoke import InvocationResult
from worker_service.handler_api.progress import ProgressSink, ProgressUpdate

SEND_SECONDS = 0.1
"""Progress updates are sent at least this far apart. Of the updates in between only the last one is sent."""


class Started:
    """The handler has been found and is now called."""


class Finished(NamedTuple):
    """The handler has ended. `changed` names what it changed in its process for good, or is empty."""

    result: InvocationResult
    changed: str = ""


class Message(NamedTuple):
    """`call` is the number of the call that the message belongs to, as the worker gave it."""

    call: int
    content: Started | ProgressUpdate | Finished


class _CallProgress:
    """The latest update of one call, and the update that was sent last."""

    def __init__(self, call: int) -> None:
        self.call = call
        self.latest: ProgressUpdate | None = None
        self.sent: ProgressUpdate | None = None


class ChildPipe:
    """Sends progress in a thread of its own, which starts with the first update. So no handler waits.

    It belongs to this process. In a process that a handler forks it sends nothing.
    """

    def __init__(self, worker: "Connection[Message, Any]") -> None:
        self._worker = worker
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._progress: _CallProgress | None = None
        self._is_new = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, call: int) -> ProgressSink:
        """A sink for the progress of the next call. After `finish` it drops every update."""
        self._progress = progress = _CallProgress(call)

        def on_progress(update: ProgressUpdate) -> None:
            progress.latest = update
            if not self._is_new.is_set():
                self._is_new.set()
                self._ensure_thread()

        return on_progress

    def start(self, call: int) -> None:
        """Send that the handler started."""
        with self._sending:
            self._worker.send(Message(call, Started()))

    def finish(self, call: int, finished: Finished) -> None:
        """Send how the handler ended. Progress that was not sent before is dropped."""
        with self._sending:
            self._progress = None
            self._worker.send(Message(call, finished))

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_progress, name="progress", daemon=True)
            self._thread.start()

    def _send_progress(self) -> None:
        with contextlib.suppress(OSError):  # the worker has ended
            while os.getpid() == self._pid:
                self._is_new.wait()
                self._is_new.clear()
                with self._sending:
                    progress = self._progress
                    if progress is not None:
                        _send_latest(self._worker, progress)
                time.sleep(SEND_SECONDS)


def _send_latest(worker: "Connection[Message, Any]", progress: _CallProgress) -> None:
    latest = progress.latest
    if latest is not None and latest is not progress.sent:
        worker.send(Message(progress.call, latest))
        progress.sent = latest
