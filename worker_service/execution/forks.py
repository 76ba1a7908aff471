"""Ends a process that a handler forked when it returns to the worker's code.

Such a fork is a copy of the worker's process or of a job process. It has the same sockets and pipes, and
would answer for jobs that are not its own.
"""

import contextlib
import os
import sys


def end_if_forked(pid: int) -> None:
    """End this process if it is not `pid`: then a handler forked it. Call this after each handler.

    The exit status is the one that Python would have used.
    """
    if os.getpid() != pid:
        status = 1
        with contextlib.suppress(BaseException):
            status = _exit_status(sys.exc_info()[1])
        end_fork(status)


def end_fork(status: int) -> None:
    """End this process, which a handler forked."""
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _exit_status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if issubclass(type(error), SystemExit):
        code = error.code  # type: ignore[attr-defined]  # - mypy does not narrow by issubclass
        return 0 if code is None else code & 0xFF if isinstance(code, int) else 1
    return 1
