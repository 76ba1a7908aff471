"""Restores the state of a process that a handler may have changed, so that the next job does not see it.

Some changes cannot be undone; then only a new process helps. Python's own state, such as modules and their
globals, is not checked: caches there are the reason to use a process again.
"""

# The C module: signal.getsignal makes an enum member of each answer, which takes thirty times as long.
import _signal  # type: ignore[import-not-found]  # - typeshed does not have it
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
    """The state of the calling process at this moment. To be used in the main thread."""

    def __init__(self) -> None:
        self._directory = os.getcwd()  # noqa: PTH109 - compared as text
        self._umask = _umask()
        self._environment = dict(os.environb)
        self._idle_timers = [timer for timer in TIMERS if signal.getitimer(timer) == (0.0, 0.0)]
        self._recursion_limit = sys.getrecursionlimit()
        self._rest = {what: read() for what, read in _READERS.items()}
        self._has_children = _has_children()

    def restore(self) -> str:
        """Restore what can be restored. Returns the name of something else that changed, or "". Raises
        nothing.
        """
        try:
            return self._restore()
        except BaseException as error:  # noqa: BLE001 - a handler may have changed anything
            return f"state that could not be restored ({type(error).__qualname__})"

    def _restore(self) -> str:
        for timer in self._idle_timers:
            # First of all: an alarm that rings now would end the process.
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
    """Whether a child process runs. Child processes that have ended are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _is_same(then: Any, now: Any) -> bool:
    # Compare signal handlers by identity: they can be objects of the handler, whose `__eq__` is its code.
    if type(then) is list:
        return len(then) == len(now) and all(map(_is, then, now))
    return bool(then == now)


def _is(one: object, other: object) -> bool:
    return one is other


_READERS: dict[str, Callable[[], Any]] = {
    "signal handlers": lambda: [_signal.getsignal(number) for number in SIGNALS],
    "signal mask": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    "resource limits": lambda: tuple(resource.getrlimit(number) for number in LIMITS),
    "priority": lambda: os.getpriority(os.PRIO_PROCESS, 0),
    "processor affinity": lambda: os.sched_getaffinity(0),
    "user or group": lambda: (os.getresuid(), os.getresgid(), os.getgroups()),
}
"""What can be compared but not restored."""
