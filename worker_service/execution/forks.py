"""The end of a process that a handler forked, when it comes back to the code that called the handler.

It is a copy of the worker's process or of a job process: it has the same sockets and pipes, and would answer for jobs that
are not its own.
"""

import contextlib
import os
import sys


def end_if_forked(pid: int) -> None:
    """To be called as soon as a handler has returned or raised: end this process here unless it is still `pid`.

    Its exit status is what Python would have ended it with.
    """
    if os.getpid() != pid:
        status = 1
        with contextlib.suppress(BaseException):
            status = _status(sys.exc_info()[1])
        end_fork(status)


def end_fork(status: int) -> None:
    """End this process, which a handler forked, here."""
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if issubclass(type(error), SystemExit):
        code = error.code  # type: ignore[attr-defined]
        return 0 if code is None else code & 0xFF if isinstance(code, int) else 1
    return 1
