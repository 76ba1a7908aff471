"""Log lines on their way out: written at once while that works, else kept for a while, and counted where they are lost.

Whoever logs must neither fail nor wait because of a full disk, a reader that has gone, or one that stands still. So a line that
cannot be written is lost, and a line in its place says how many once writing works again. Lines that a reader does not take wait
for it, up to a limit, and a thread of their own writes them.
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
"""Of lines that wait. Beyond either the oldest ones are lost: the last lines tell why a process ends."""
CHUNK_BYTES = select.PIPE_BUF
"""Written together. So much goes into a pipe in one piece, though other processes write to it as well."""
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.02


class LogLines:
    """Takes lines from any thread, and never raises. After a fork the child begins with none."""

    def __init__(
        self,
        output: Output | None,
        lost_line: Callable[[int], str],
        *,
        most_lines: int = MAX_LINES,
        most_bytes: int = MAX_BYTES,
    ) -> None:
        """`output` None: every line is lost. `lost_line(count)` is the line that tells of so many lost ones."""
        self._output = output
        self._lost_line = lost_line
        self._most_lines, self._most_bytes = most_lines, most_bytes
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        # One thread may log while it logs: the garbage collector runs finalizers anywhere, and asyncio's write log lines.
        self._lock = threading.RLock()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._thread_is_at_it = False
        self._is_writing = False
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._chunk = b""
        """Under way: what is left of some lines."""
        self._lines_in_chunk = 0
        self._is_torn = False
        """Whether the last thing written is a part of a line."""
        self.lost = 0
        """Lines lost since that was last told."""

    def write(self, line: str) -> None:
        """Write the line, or see to it that it is written, or count it as lost."""
        try:
            data = (line + "\n").encode(errors="backslashreplace")
            with self._lock:
                self._add(data)
                if self._thread_is_at_it or self._is_writing:
                    return
                if self._output is None or self._output.may_block or not self._write_all(self._output):
                    self._hand_over()
        except Exception:  # noqa: BLE001 - no log line is worth a failure
            self.count_lost()

    def count_lost(self) -> None:
        """A line could not even be made."""
        self.lost += 1

    def flush(self, seconds: float) -> bool:
        """Wait until all is written, for so many seconds at most; whether it is."""
        end = time.monotonic() + seconds
        while self._waiting or self._chunk:
            if time.monotonic() >= end:
                return False
            time.sleep(PAUSE_SECONDS / 4)
        return True

    def _add(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        while self._size > self._most_bytes or len(self._waiting) > self._most_lines:
            self._size -= len(self._waiting.popleft())
            self.lost += 1

    def _write_all(self, output: Output) -> bool:
        """By the thread that logs. False: it would have to wait."""
        self._is_writing = True
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
            self._is_writing = False

    def _hand_over(self) -> None:
        """To the thread. If none can be started, the lines wait until the next one is written."""
        if self._output is None:
            self._take_chunk()
            self._lose_chunk()
            return
        if self._thread is None:
            thread = threading.Thread(target=self._work, args=(self._output,), name="log-writer", daemon=True)
            thread.start()
            self._thread = thread
        self._thread_is_at_it = True
        self._wake.put(None)

    def _work(self, output: Output) -> None:
        """The thread: what waits is its own to write until nothing does."""
        while True:
            self._wake.get()
            while True:
                with self._lock:
                    if not self._take_chunk():
                        self._thread_is_at_it = False
                        break
                    chunk = self._chunk
                try:
                    output.wait(LOOK_SECONDS)
                    written = output.write(chunk)
                except BlockingIOError:
                    time.sleep(PAUSE_SECONDS)
                except Exception:  # noqa: BLE001 - whatever it is, the lines are lost and the thread goes on
                    with self._lock:
                        self._lose_chunk()
                else:
                    with self._lock:
                        self._note_written(written)

    def _take_chunk(self) -> bool:
        """Whether there is anything to write: the rest of the last chunk, or a new one."""
        if self._chunk:
            return True
        if not self._waiting:
            return False
        parts = [b"\n"] if self._is_torn else []
        if self.lost:
            parts.append((self._lost_line(self.lost) + "\n").encode(errors="backslashreplace"))
        # Should this chunk be lost too, so are those that it tells of.
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
