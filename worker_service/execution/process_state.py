"""What belongs to a process as a whole and a handler may have changed: it must not reach the next job's handler.

What can be put back is put back. For the rest only a new process helps. Python's own state, such as modules and their globals,
is not looked at: a cache there is what a process is used again for.
"""

# As C has it: the public one makes a member of an enumeration of each answer, which takes thirty times as long.
import _signal  # type: ignore[import-not-found]
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
SIGNALS = tuple(sorted(int(number) for number in signal.valid_signals() if number < signal.SIGRTMIN))
LIMITS = tuple(sorted({number for name, number in vars(resource).items() if name.startswith("RLIMIT_")}))


class ProcessState:
    """As it is now, in the calling process, whose main thread must be the one that calls."""

    def __init__(self) -> None:
        self._directory = os.getcwd()  # noqa: PTH109 - compared as text
        self._umask = _umask()
        self._environment = dict(os.environb)
        self._timers = [timer for timer in TIMERS if signal.getitimer(timer) == (0.0, 0.0)]
        """Those that do not run."""
        self._recursion_limit = sys.getrecursionlimit()
        self._rest = _rest()
        self._has_children = _has_children()

    def restore(self) -> str:
        """Put back what can be; what else has changed, in words, or an empty text. Raises nothing."""
        try:
            return self._restore()
        except BaseException as error:  # noqa: BLE001 - a handler may have changed anything
            return f"its state, which could not be put back ({type(error).__qualname__})"

    def _restore(self) -> str:
        for timer in self._timers:
            # First: an alarm that rings now would end the process.
            signal.setitimer(timer, 0)
        os.umask(self._umask)
        if _directory() != self._directory:
            os.chdir(self._directory)
        self._restore_environment()
        if sys.getrecursionlimit() != self._recursion_limit:
            sys.setrecursionlimit(self._recursion_limit)
        for what, then in self._rest.items():
            if not _is_same(then, _READERS[what]()):
                return what
        return "" if self._has_children or not _has_children() else "programs that still run"

    def _restore_environment(self) -> None:
        now = dict(os.environb)
        if now == self._environment:
            return
        for name in now.keys() - self._environment.keys():
            del os.environb[name]
        for name, text in self._environment.items():
            if now.get(name) != text:
                os.environb[name] = text


def _directory() -> str | None:
    """None if it has been deleted."""
    try:
        return os.getcwd()  # noqa: PTH109 - compared as text
    except FileNotFoundError:
        return None


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


def _has_children() -> bool:
    """Whether a child process runs; those that have ended and were not waited for are forgotten."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _rest() -> dict[str, Any]:
    return {what: read() for what, read in _READERS.items()}


def _is_same(then: Any, now: Any) -> bool:
    # Signal handlers are the handler's objects, whose comparison is its code.
    if type(then) is list:
        return len(then) == len(now) and all(map(_is, then, now))
    return bool(then == now)


def _is(one: object, other: object) -> bool:
    return one is other


_READERS: dict[str, Callable[[], Any]] = {
    "signal handlers": lambda: [_signal.getsignal(number) for number in SIGNALS],
    "the signal mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "resource limits": lambda: tuple(resource.getrlimit(number) for number in LIMITS),
    "its priority": lambda: os.getpriority(os.PRIO_PROCESS, 0),
    "its processors": lambda: os.sched_getaffinity(0),
    "its user or group": lambda: (os.getresuid(), os.getresgid(), os.getgroups()),
}
