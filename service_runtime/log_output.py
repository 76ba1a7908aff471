"""Writes to standard error, without blocking the writer where that is possible."""

import os
import select
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress

STANDARD_ERROR = 2
PRINT_SECONDS = 1.0
"""How long print_error waits for a reader that does not read. Then it drops the message."""


class Output:
    """An open file for log lines."""

    may_block: bool
    """Whether `write` may wait for a reader. If False, it raises BlockingIOError instead."""

    def __init__(self, number: int, write: Callable[[bytes], int], *, may_block: bool) -> None:
        """`number`: the file descriptor, for poll. `write` returns how many bytes it wrote."""
        self.write = write
        self.may_block = may_block
        self._number = number

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` until a write would not block. Whether that is so."""
        poll = select.poll()
        poll.register(self._number, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))


def standard_error() -> Output | None:
    """Standard error; None if the process started without it. Later changes to descriptor 2 have no effect.

    The flag O_NONBLOCK belongs to the open file, not to the process: on a pipe that other processes write to,
    it would change their writes too. So a pipe or terminal is opened again, by its path in /proc. Where that
    is not possible, writes may block.
    """
    if sys.__stderr__ is None:
        return None
    try:
        number = os.dup(STANDARD_ERROR)
    except OSError:
        return None
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        # A regular file never blocks. Opened again it would have its own position, and two writers would
        # overwrite each other's lines.
        return Output(number, lambda data: os.write(number, data), may_block=False)
    if stat.S_ISSOCK(mode):
        # For example the journal of systemd.
        sock = socket.socket(fileno=number)
        return Output(number, lambda data: sock.send(data, socket.MSG_DONTWAIT), may_block=False)
    with suppress(OSError):
        own = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.close(number)
        return Output(own, lambda data: os.write(own, data), may_block=False)
    return Output(number, lambda data: os.write(number, data), may_block=True)


def keep_standard_files_open() -> None:
    """Open /dev/null for each file descriptor from 0 to 2 that was closed when this process started.

    Otherwise the next connection gets that number, and what a library prints goes into the connection.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (STANDARD_ERROR, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            else:
                os.set_inheritable(number, True)
            if getattr(sys, name) is None:
                setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - as Python itself would


def print_error(message: str) -> None:
    """Print a line for people on standard error. If that is not possible, nothing happens."""
    with suppress(Exception):
        data = f"{message}\n".encode(errors="backslashreplace")
        try:
            number = sys.stderr.fileno()
        except Exception:  # noqa: BLE001 - replaced by an object that is not a file
            sys.stderr.write(data.decode())
            return
        # Not through Python's buffer: text that is left in it would change the exit status when the process
        # ends.
        output = Output(number, lambda data: os.write(number, data), may_block=True)
        if output.wait(PRINT_SECONDS):
            output.write(data)
