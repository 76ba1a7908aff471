"""What a job process tells its worker, through a pipe: that a handler begins, what it says meanwhile, and how it ended."""

import contextlib
import os
import threading
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from worker_service.execution.invoke import Ended
from worker_service.handler_api.progress import ProgressSink, ProgressUpdate

SEND_SECONDS = 0.1
"""Words are sent this far apart at least; of those between only the last one counts."""


class Begun:
    """The handler has been found and is being called."""


class Done(NamedTuple):
    """The handler has ended. `changed`: what it changed in its process for good, in words; a new one must follow then."""

    ended: Ended
    changed: str = ""


class Message(NamedTuple):
    """`run` is the number of the call that it belongs to, as the worker gave it."""

    run: int
    told: Begun | ProgressUpdate | Done


class _Spoken:
    """What one handler has said last, and which word of it has been sent."""

    def __init__(self, run: int) -> None:
        self.run = run
        self.word: ProgressUpdate | None = None
        self.sent: ProgressUpdate | None = None


class ChildPipe:
    """Words travel in a thread of their own, started with the first one: a handler that speaks waits for nobody.

    It is this process's alone. In one that a handler forks it sends nothing.
    """

    def __init__(self, worker: "Connection[Message, Any]") -> None:
        self._worker = worker
        self._pid = os.getpid()
        self._sending = threading.Lock()
        self._spoken: _Spoken | None = None
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self, run: int) -> ProgressSink:
        """For the next job, what takes its handler's words. After `end` it takes them for nothing."""
        self._spoken = spoken = _Spoken(run)

        def say(word: ProgressUpdate) -> None:
            spoken.word = word
            if not self._news.is_set():
                self._news.set()
                self._start()

        return say

    def begin(self, run: int) -> None:
        """The handler begins."""
        with self._sending:
            self._worker.send(Message(run, Begun()))

    def end(self, run: int, done: Done) -> None:
        """The handler has ended; what it has said and was not sent is dropped."""
        with self._sending:
            self._spoken = None
            self._worker.send(Message(run, done))

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_words, name="progress", daemon=True)
            self._thread.start()

    def _send_words(self) -> None:
        with contextlib.suppress(OSError):  # the worker has gone
            while os.getpid() == self._pid:
                self._news.wait()
                self._news.clear()
                with self._sending:
                    spoken = self._spoken
                    if spoken is not None and (word := spoken.word) is not None and word is not spoken.sent:
                        self._worker.send(Message(spoken.run, word))
                        spoken.sent = word
                time.sleep(SEND_SECONDS)
