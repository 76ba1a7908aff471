"""Turns what is printed into log lines, so that each line of the log keeps its format.

It replaces sys.stdout and sys.stderr. Programs that a handler starts, and native code, write to the file
descriptors, and are not changed.
"""

import io
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

import structlog

from worker_service.execution.line_buffer import LineSink, current_line_sink

MAX_BEGIN = 4_000
"""Characters of a line that wait for its end. Above that they become a line."""
WriteLine = Callable[[str], object]


class PrintedLines(io.TextIOBase):
    """A text stream whose lines are logged.

    The begin of a line waits for its end, for each handler and each other thread apart.
    """

    def __init__(self, stream: TextIO, name: str, write_line: WriteLine) -> None:
        """`stream`: the one that it replaces, which answers for all but writing."""
        self._stream = stream
        self._name = name
        self._write_line = write_line
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # Reentrant: a finalizer may run and print at any point.
        self._lock = threading.RLock()
        self._of_thread = threading.local()

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        *lines, _ = self._join(current_line_sink(), text)
        for line in lines:
            if line:
                self._write_line(line)
        return len(text)

    def _join(self, sink: LineSink | None, text: str) -> list[str]:
        """The lines that end in `text`, and the begin of the next one, which is kept."""
        with self._lock:
            begins = self._begins(sink)
            # A progress bar returns to the begin of its line.
            lines = (begins.pop(self._name, "") + text).replace("\r", "\n").split("\n")
            if len(lines[-1]) >= MAX_BEGIN:
                lines.append("")
            if lines[-1]:
                begins[self._name] = lines[-1]
            return lines

    def _begins(self, sink: LineSink | None) -> dict[str, str]:
        if sink is None:
            begins: dict[str, str] = self._of_thread.__dict__
            return begins
        if sink.printed is None:
            sink.printed = {}
        return sink.printed

    def flush(self) -> None:
        """Lines have been logged; the begin of a line still waits for its end."""
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Stay open: a handler must not close the stream of all others."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # - an attribute there
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]  # - an attribute there
        return self._stream.errors

    def __getattr__(self, name: str) -> Any:
        """`buffer` and `reconfigure`, for example."""
        return getattr(self._stream, name)


def log_prints() -> None:
    """Log from now on what this process prints. Does nothing if that is so already."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PrintedLines):
            setattr(sys, name, PrintedLines(stream, name, partial(_log, name)))


def end_lines(sink: LineSink) -> None:
    """Log what a handler printed without an end of the line. Call it in the handler's context."""
    begins, sink.printed = sink.printed, None
    for name, text in (begins or {}).items():
        _log(name, text)


def _log(name: str, line: str) -> None:
    structlog.get_logger().info(line, logger=name)
