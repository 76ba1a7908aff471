"""Where log lines go: standard error, in a way that does not block the writer where that can be had."""

import os
import select
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress

STANDARD_ERROR = 2
TELL_SECONDS = 1.0
"""How long a reader that stands still is waited for before people are told nothing."""


class Output:
    """An open file that log lines are written to."""

    may_block: bool
    """Whether `write` may wait for a reader. If not, it raises BlockingIOError instead."""

    def __init__(self, number: int, write: Callable[[bytes], int], *, may_block: bool) -> None:
        """`number`: of the file, for poll. `write` returns how many bytes it took."""
        self.write = write
        self.may_block = may_block
        self._number = number

    def wait(self, seconds: float) -> bool:
        """Whether a write would wait for nobody, at once or within so many seconds."""
        poll = select.poll()
        poll.register(self._number, select.POLLOUT)
        return bool(poll.poll(seconds * 1000))


def standard_error() -> Output | None:
    """None if this process has none, and was started without. What is done to file 2 later on changes nothing here.

    The mark "do not block" (O_NONBLOCK) belongs to what was opened, not to a process: on a pipe that other processes write to as
    well it would change their writes too. So a pipe or terminal is opened anew, under its name in /proc. Where that cannot be had,
    writes may block.
    """
    if sys.__stderr__ is None:
        return None
    try:
        number = os.dup(STANDARD_ERROR)
    except OSError:
        return None
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        # Opened anew it would have a position of its own, and two writers would overwrite each other. It waits for no reader.
        return Output(number, lambda data: os.write(number, data), may_block=False)
    if stat.S_ISSOCK(mode):
        # Such as systemd's journal.
        sock = socket.socket(fileno=number)
        return Output(number, lambda data: sock.send(data, socket.MSG_DONTWAIT), may_block=False)
    with suppress(OSError):
        own = os.open(f"/proc/self/fd/{number}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        os.close(number)
        return Output(own, lambda data: os.write(own, data), may_block=False)
    return Output(number, lambda data: os.write(number, data), may_block=True)


def keep_standard_files_open() -> None:
    """Open /dev/null for each of the files 0 to 2 with which this process was started closed.

    Else the next connection gets such a number, and whatever a library prints goes into it.
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


def tell(message: str) -> None:
    """A line for people on standard error, if it can be written: what the process does next does not depend on it."""
    with suppress(Exception):
        data = f"{message}\n".encode(errors="backslashreplace")
        try:
            number = sys.stderr.fileno()
        except Exception:  # noqa: BLE001 - replaced by something that is no file
            sys.stderr.write(data.decode())
            return
        # Past Python's buffer: what stays there would change the exit status when the process ends.
        output = Output(number, lambda data: os.write(number, data), may_block=True)
        if output.wait(TELL_SECONDS):
            output.write(data)
