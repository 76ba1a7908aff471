"""The lines of one attempt at a job, from the place where they are logged until somebody takes them.

A handler that logs in a tight loop must not fill the memory: only the latest lines are kept.
"""

import threading
from collections import deque
from contextvars import ContextVar
from enum import StrEnum
from typing import NamedTuple

MAX_LINES = 200
MAX_BYTES = 64 * 1024
"""Limits for one attempt; the API server keeps no more of a job."""
LINE_COST = 300
"""Bytes that a line takes besides its text."""
MAX_NUMBER = 2**31 - 1
"""The contract's largest number of a line."""


class Kind(StrEnum):
    """What a line is. A trace is the traceback of an error."""

    LINE = "line"
    TRACE = "trace"


class JobLine(NamedTuple):
    """One line. `time` in seconds since 1970. Its texts are valid for protobuf and have limited lengths."""

    time: float
    kind: Kind
    level: str
    logger: str
    message: str

    @property
    def size(self) -> int:
        """Bytes of text, as the limits count them."""
        return len(self.logger.encode()) + len(self.message.encode())


class LineSink:
    """Takes a handler's lines."""

    __slots__ = ("printed",)

    def __init__(self) -> None:
        self.printed: dict[str, str] | None = None
        """What was printed to each stream since the last end of a line."""

    def add(self, line: JobLine) -> None:
        """Can be called from any thread, and must not wait."""
        raise NotImplementedError


_sink: ContextVar[LineSink | None] = ContextVar("line_sink", default=None)


def send_lines_to(sink: LineSink | None) -> None:
    """Send the lines that are logged in the current context to `sink` from now on."""
    _sink.set(sink)


def current_line_sink() -> LineSink | None:
    """None: no handler runs in this context."""
    return _sink.get()


class LineBuffer:
    """The latest lines of one attempt that have not been taken yet. Thread-safe."""

    def __init__(self) -> None:
        # Reentrant: a finalizer may run and log at any point, also in here.
        self._lock = threading.RLock()
        self._lines: deque[JobLine] = deque()
        self._bytes = 0
        self._count = 0
        """How many lines there were in all, also those that were dropped or taken."""

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def cost(self) -> int:
        """About how much memory the lines take."""
        return self._bytes + LINE_COST * len(self._lines)

    def add(self, line: JobLine) -> None:
        with self._lock:
            if self._count == MAX_NUMBER:
                return
            self._count += 1
            self._lines.append(line)
            self._bytes += line.size
            while len(self._lines) > MAX_LINES or (self._bytes > MAX_BYTES and len(self._lines) > 1):
                self._bytes -= self._lines.popleft().size

    def skip(self, count: int) -> None:
        """Count lines that were dropped before they came here."""
        with self._lock:
            self._count = min(self._count + count, MAX_NUMBER)

    def drop_all(self) -> None:
        """Drop the lines, but count them."""
        with self._lock:
            self._lines.clear()
            self._bytes = 0

    def peek(self) -> tuple[int, list[JobLine]]:
        """The number of the first line, from 1, and the lines in order."""
        with self._lock:
            return self._count - len(self._lines) + 1, list(self._lines)

    def remove_until(self, number: int) -> None:
        """Remove the lines up to this number."""
        with self._lock:
            first = self._count - len(self._lines) + 1
            for _ in range(min(number - first + 1, len(self._lines))):
                self._bytes -= self._lines.popleft().size


class Lines(NamedTuple):
    """Lines on their way from a job process. `skipped`: how many were dropped before them."""

    skipped: int
    lines: list[JobLine]


class LinesToSend:
    """Takes lines out of a buffer, each once, with the number of those that the buffer has dropped."""

    def __init__(self) -> None:
        self.buffer = LineBuffer()
        self._next = 1

    def take(self) -> Lines | None:
        """None: there are none."""
        first, lines = self.buffer.peek()
        if not lines:
            return None
        taken = Lines(first - self._next, lines)
        self._next = first + len(lines)
        self.buffer.remove_until(self._next - 1)
        return taken
