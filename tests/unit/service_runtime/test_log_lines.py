"""LogLines, with files that fail, block, or accept only a part of a write."""

import errno
import os
import threading
import time
from collections.abc import Callable

import pytest

from service_runtime.log_lines import LogLines
from service_runtime.log_output import Output


class File(Output):
    """Accepts up to `room` bytes, or raises `fault`."""

    def __init__(self, *, may_block: bool = False) -> None:
        super().__init__(-1, self._write, may_block=may_block)
        self.written = b""
        self.fault: OSError | None = None
        self.room = 10**9
        self.readable = threading.Event()
        self.before_write: Callable[[], object] | None = None

    def _write(self, data: bytes) -> int:
        if self.before_write is not None:
            action, self.before_write = self.before_write, None
            action()
        if self.fault is not None:
            raise self.fault
        if not self.room:
            raise BlockingIOError
        part = data[: self.room]
        self.written += part
        self.room -= len(part)
        return len(part)

    def wait(self, seconds: float) -> bool:
        return self.readable.wait(seconds)

    @property
    def lines(self) -> list[str]:
        return self.written.decode().splitlines()


def lost(count: int) -> str:
    return f"lost {count}"


def test_a_line_is_written_at_once() -> None:
    file = File()
    LogLines(file, lost).write("\udcff one")
    assert file.written == b"\\udcff one\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EBADF])
def test_lines_that_cannot_be_written_are_counted_and_reported_later(number: int) -> None:
    file = File()
    lines = LogLines(file, lost)
    lines.write("one")
    file.fault = OSError(number, os.strerror(number))
    lines.write("two")
    lines.write("three")
    lines.count_lost()
    file.fault = None
    lines.write("four")
    lines.write("five")
    assert file.lines == ["one", "lost 3", "four", "five"]


def test_a_line_break_follows_a_line_that_was_cut_off() -> None:
    file = File()
    lines = LogLines(file, lost)
    file.room = 3

    def fill_up() -> None:
        file.fault = OSError(errno.ENOSPC, "no space")

    lines.write("first")
    fill_up()
    file.readable.set()
    assert lines.flush(10)
    file.fault, file.room = None, 10**9
    lines.write("second")
    assert lines.flush(10)
    assert file.lines == ["fir", "lost 1", "second"]


def test_a_stalled_reader_blocks_nobody_and_gets_the_latest_lines() -> None:
    file = File()
    file.room = 0
    lines = LogLines(file, lost, max_lines=10)
    for number in range(100):
        lines.write(str(number))
    assert not file.lines
    assert not lines.flush(0.01)
    file.room = 10**9
    file.readable.set()
    assert lines.flush(10)
    # The thread may have taken the first lines before newer ones replaced them.
    assert file.lines[-10:] == [str(number) for number in range(90, 100)]
    reported = sum(int(line.removeprefix("lost ")) for line in file.lines if line.startswith("lost "))
    kept = sum(not line.startswith("lost ") for line in file.lines)
    assert reported + kept == 100


def test_the_buffer_is_limited_in_bytes() -> None:
    file = File()
    file.room = 0
    lines = LogLines(file, lost, max_bytes=10_000)
    for _ in range(100):
        lines.write("x" * 999)
    assert lines.lost >= 80
    file.room = 10**9
    file.readable.set()
    assert lines.flush(10)
    assert len(file.written) < 20_000


def test_lines_keep_their_order_after_a_stall() -> None:
    file = File()
    lines = LogLines(file, lost)
    file.readable.set()
    for number in range(1000):
        file.room = 0 if number % 3 else 10**9
        lines.write(str(number))
    file.room = 10**9
    assert lines.flush(10)
    assert file.lines == [str(number) for number in range(1000)]


def test_a_thread_writes_to_a_file_that_may_block() -> None:
    file = File(may_block=True)
    lines = LogLines(file, lost)
    hold = threading.Event()
    file.before_write = hold.wait
    began = threading.current_thread()
    lines.write("one")
    lines.write("two")
    assert threading.current_thread() is began
    hold.set()
    file.readable.set()
    assert lines.flush(10)
    assert file.lines == ["one", "two"]


def test_a_line_that_is_logged_during_a_write_comes_after_it() -> None:
    """For example by a finalizer that the garbage collector runs."""
    file = File()
    lines = LogLines(file, lost)
    file.before_write = lambda: lines.write("inner")
    lines.write("outer")
    assert file.lines == ["outer", "inner"]


def test_without_an_output_lines_are_counted_as_lost() -> None:
    lines = LogLines(None, lost)
    lines.write("one")
    lines.write("two")
    assert lines.lost == 2
    assert lines.flush(0)


def test_the_report_of_lost_lines_may_fail() -> None:
    def fail(count: int) -> str:
        raise ValueError(count)

    file = File()
    lines = LogLines(file, fail)
    lines.count_lost()
    lines.write("one")
    assert lines.lost


def test_no_line_of_many_threads_is_lost() -> None:
    file = File()
    file.readable.set()
    lines = LogLines(file, lost)

    def work(name: int) -> None:
        for number in range(200):
            if number % 50 == 0:
                file.room = 0
            lines.write(f"{name}-{number}")
            file.room = 10**9

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lines.flush(10)
    for name in range(4):
        own = [line for line in file.lines if line.startswith(f"{name}-")]
        assert own == [f"{name}-{number}" for number in range(200)]


def test_a_forked_process_has_its_own_buffer_and_thread() -> None:
    file = File()
    file.room = 0
    lines = LogLines(file, lost)
    lines.write("of the parent")
    pid = os.fork()
    if not pid:
        # An AssertionError must not leave the child process.
        file.room = 10**9
        file.readable.set()
        lines.write("of the child")
        os._exit(0 if file.lines == ["of the child"] and not lines.lost else 1)
    deadline = time.monotonic() + 20
    while not (ended := os.waitpid(pid, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended[1] == 0
    file.room = 10**9
    file.readable.set()
    assert lines.flush(10)
    assert file.lines == ["of the parent"]
