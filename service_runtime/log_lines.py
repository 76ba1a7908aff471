"""Writes log lines without ever failing or blocking the caller.

A full disk, a closed reader or a reader that does not read must not stop a thread that logs. A line that
cannot be written is dropped and counted; when writing works again, a line reports the count. Lines that the
reader does not read are buffered, up to a limit, and a background thread writes them.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue

from service_runtime.log_output import Output

MAX_LINES = 10_000
MAX_BYTES = 1024 * 1024
"""Limits of the buffer. Beyond them the oldest lines are dropped: the last ones show why a process ends."""
CHUNK_BYTES = select.PIPE_BUF
"""Size of one write. A write of up to PIPE_BUF to a pipe is atomic, even if other processes write to it."""
POLL_SECONDS = 1.0
PAUSE_SECONDS = 0.02


class LogLines:
    """Thread-safe; its methods never raise. After a fork the child starts with an empty buffer."""

    def __init__(
        self,
        output: Output | None,
        lost_line: Callable[[int], str],
        *,
        max_lines: int = MAX_LINES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`output` None: every line is dropped. `lost_line(count)` returns the line that reports this."""
        self._output = output
        self._lost_line = lost_line
        self._max_lines, self._max_bytes = max_lines, max_bytes
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        # Reentrant: the garbage collector runs finalizers at any point, also while a line is logged, and
        # finalizers of asyncio log.
        self._lock = threading.RLock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._thread_is_writing = False
        self._caller_is_writing = False
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._chunk = b""
        """The lines that are being written: the part that is left."""
        self._lines_in_chunk = 0
        self._is_torn = False
        """Whether the last write ended inside a line."""
        self.lost = 0
        """Lines dropped since the last report."""

    def write(self, line: str) -> None:
        """Write the line now, or buffer it for the thread, or count it as dropped."""
        try:
            data = (line + "\n").encode(errors="backslashreplace")
            with self._lock:
                self._add(data)
                if self._thread_is_writing or self._caller_is_writing:
                    return
                if self._output is None or self._output.may_block or not self._write_all(self._output):
                    self._wake_thread()
        except Exception:  # noqa: BLE001 - no log line is worth a failure
            self.count_lost()

    def count_lost(self) -> None:
        """Count a line that could not be rendered."""
        self.lost += 1

    def flush(self, seconds: float) -> bool:
        """Wait up to `seconds` until all lines are written. Whether they are."""
        end = time.monotonic() + seconds
        while self._waiting or self._chunk:
            if time.monotonic() >= end:
                return False
            time.sleep(PAUSE_SECONDS / 4)
        return True

    def _add(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        while self._size > self._max_bytes or len(self._waiting) > self._max_lines:
            self._size -= len(self._waiting.popleft())
            self.lost += 1

    def _write_all(self, output: Output) -> bool:
        """Write in the thread that logs. False: a write would block."""
        self._caller_is_writing = True
        try:
            while self._take_chunk():
                try:
                    written = output.write(self._chunk)
                except BlockingIOError:
                    return False
                except OSError:
                    self._lose_chunk()
                else:
                    self._note_written(written)
            return True
        finally:
            self._caller_is_writing = False

    def _wake_thread(self) -> None:
        """Let the thread write. If no thread can be started, the lines wait for the next `write`."""
        if self._output is None:
            self._take_chunk()
            self._lose_chunk()
            return
        if self._thread is None:
            thread = threading.Thread(target=self._work, args=(self._output,), name="log-writer", daemon=True)
            thread.start()
            self._thread = thread
        self._thread_is_writing = True
        self._wake.put(None)

    def _work(self, output: Output) -> None:
        """The thread: writes until the buffer is empty, then waits for `_wake`."""
        while True:
            self._wake.get()
            while True:
                with self._lock:
                    if not self._take_chunk():
                        self._thread_is_writing = False
                        break
                    chunk = self._chunk
                try:
                    output.wait(POLL_SECONDS)
                    written = output.write(chunk)
                except BlockingIOError:
                    time.sleep(PAUSE_SECONDS)
                except Exception:  # noqa: BLE001 - the lines are dropped and the thread goes on
                    with self._lock:
                        self._lose_chunk()
                else:
                    with self._lock:
                        self._note_written(written)

    def _take_chunk(self) -> bool:
        """Prepare the rest of the last chunk or a new one. False: there is nothing to write."""
        if self._chunk:
            return True
        if not self._waiting:
            return False
        parts = [b"\n"] if self._is_torn else []
        if self.lost:
            parts.append((self._lost_line(self.lost) + "\n").encode(errors="backslashreplace"))
        # If this chunk is dropped too, the report in it is lost, so its count is added again.
        self._lines_in_chunk, self.lost = self.lost, 0
        size = 0
        while self._waiting and (not size or size + len(self._waiting[0]) <= CHUNK_BYTES):
            line = self._waiting.popleft()
            size += len(line)
            parts.append(line)
            self._lines_in_chunk += 1
        self._size -= size
        self._chunk = b"".join(parts)
        return True

    def _note_written(self, count: int) -> None:
        self._is_torn = count < len(self._chunk)
        self._chunk = self._chunk[count:]

    def _lose_chunk(self) -> None:
        self._chunk = b""
        self.lost += self._lines_in_chunk
