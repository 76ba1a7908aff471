"""The event loop that handlers share. None of them can stop it, or change it for the others.

SystemExit and KeyboardInterrupt end an event loop, wherever in it they are raised: in a task that nobody awaits, in a
callback. This loop stays, and tells which handler it was.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
from typing import Any

import uvloop

from worker_service.execution.forks import end_fork
from worker_service.execution.threads import NAME

GUEST: ContextVar[Any] = ContextVar("guest", default=None)
"""Whose code runs. Tasks and callbacks inherit it from whoever creates them."""

FORBIDDEN = (
    "stop",
    "close",
    "set_debug",
    "set_exception_handler",
    "set_task_factory",
    "set_default_executor",
    "shutdown_asyncgens",
    "shutdown_default_executor",
    "add_signal_handler",
    "remove_signal_handler",
)


class ForbiddenToHandlers(RuntimeError):
    """A handler wanted to change the event loop that it shares with others."""


class SharedLoop(uvloop.Loop):
    """Callbacks and the steps of tasks all go through `_step`. That costs a microsecond or two each; uvloop with it still
    takes less than asyncio's own loop.
    """

    steps = 0
    """Goes up with each step: if it does not, though there is something to do, the loop is blocked."""
    guest: Any = None
    """Whose step it is that runs now. None: nobody's, or that of code which the loop does not know."""
    is_of_a_fork = False
    """Whether this is the copy of the loop in a process that a handler forked. It must not run the handlers once more."""
    _is_shared = False
    _is_to_cancel_all = False

    def share(self, on_exit: Callable[[Any, BaseException], None]) -> None:
        """From now on it is for handlers. `on_exit` is told each SystemExit and KeyboardInterrupt, and whose it is."""
        self._on_exit = on_exit
        self._executor = ThreadPoolExecutor(thread_name_prefix=NAME)
        self.set_default_executor(self._executor)
        self._is_shared = True

    def unshare(self) -> ThreadPoolExecutor:
        """Make it a loop like any other, so that it can be closed; its executor, to be closed as well."""
        self._is_shared = False
        return self._executor

    def stop_for_good(self) -> None:
        """What `stop` is to other loops."""
        uvloop.Loop.stop(self)

    def cancel_all_at_next_step(self) -> None:
        """For any thread: whatever becomes of the step that is under way, all tasks go on with a CancelledError only."""
        self._is_to_cancel_all = True

    def cancel_all(self) -> set[asyncio.Task[Any]]:
        """Cancel all tasks, but for those that have been: what they clean up is not to be broken off. All of them."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            if not task.cancelling():
                task.cancel()
        return tasks

    def call_soon(  # type: ignore[override]  # - of any callback
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return _call_soon(self, self._step, callback, *args, context=context)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return _call_soon_threadsafe(self, self._step, callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return _call_later(self, delay, self._step, callback, *args, context=context)

    def add_reader(  # type: ignore[override]
        self, fileobj: Any, callback: Callable[..., Any], *args: Any
    ) -> None:
        super().add_reader(fileobj, self._step, callback, *args)

    def add_writer(  # type: ignore[override]
        self, fileobj: Any, callback: Callable[..., Any], *args: Any
    ) -> None:
        super().add_writer(fileobj, self._step, callback, *args)

    def _step(self, callback: Callable[..., Any], *args: Any) -> None:
        self.steps += 1
        if self._is_to_cancel_all:
            self._is_to_cancel_all = False
            self.cancel_all()
        self.guest = guest = GUEST.get()
        try:
            callback(*args)
        except (SystemExit, KeyboardInterrupt) as error:
            # What raised it has noted it by now: who awaits the task gets it as well.
            self._on_exit(guest, error)
        finally:
            self.guest = None
            if self.is_of_a_fork:
                end_fork(1)


def _note_fork() -> None:
    SharedLoop.is_of_a_fork = True


os.register_at_fork(after_in_child=_note_fork)

_call_soon = uvloop.Loop.call_soon
_call_soon_threadsafe = uvloop.Loop.call_soon_threadsafe
_call_later = uvloop.Loop.call_later


def _forbidden_once_shared(name: str) -> Callable[..., Any]:
    allowed = getattr(uvloop.Loop, name)

    def method(self: SharedLoop, *args: Any, **options: Any) -> Any:
        if self._is_shared:
            raise ForbiddenToHandlers(f"loop.{name}() is not for handlers: they share one event loop")
        return allowed(self, *args, **options)

    return method


for _name in FORBIDDEN:
    setattr(SharedLoop, _name, _forbidden_once_shared(_name))
