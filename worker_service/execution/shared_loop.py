"""The event loop that handlers share. No handler can stop it or change it for the others.

SystemExit and KeyboardInterrupt end an ordinary event loop, wherever they are raised: in a callback, in a
task that nobody awaits. This loop runs on and reports which handler raised them.
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

CURRENT_HANDLER: ContextVar[Any] = ContextVar("current_handler", default=None)
"""The handler whose code runs. Tasks and callbacks inherit it from the code that creates them."""

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
    """A handler called a method that would change the event loop for all handlers."""


class SharedLoop(uvloop.Loop):
    """Runs each callback and each step of a task by `_step`.

    That takes one to two microseconds for each; uvloop with it is still faster than asyncio's own loop.
    """

    steps = 0
    """How many steps have started. If it stays the same although steps wait, the loop is blocked."""
    handler: Any = None
    """The handler whose step runs now. None if no step runs, or if it is not a handler's."""
    is_of_a_fork = False
    """Whether a handler forked this process. Its copy of the loop must not run the handlers again."""
    _is_shared = False
    _is_to_cancel_all = False

    def share(self, on_exit: Callable[[Any, BaseException], None]) -> None:
        """Let handlers use the loop. `on_exit` gets a handler and its SystemExit or KeyboardInterrupt."""
        self._on_exit = on_exit
        self._executor = ThreadPoolExecutor(thread_name_prefix=NAME)
        self.set_default_executor(self._executor)
        self._is_shared = True

    def unshare(self) -> ThreadPoolExecutor:
        """Allow all methods again, so that the loop can be closed. Returns its executor, to be closed too."""
        self._is_shared = False
        return self._executor

    def stop_for_good(self) -> None:
        """Stop the loop, as `stop` does for other loops."""
        uvloop.Loop.stop(self)

    def cancel_all_at_next_step(self) -> None:
        """Cancel all tasks before the next step runs. Can be called from any thread."""
        self._is_to_cancel_all = True

    def cancel_all(self) -> set[asyncio.Task[Any]]:
        """Cancel all tasks and return them. A task is not cancelled twice: it may be cleaning up."""
        tasks = asyncio.all_tasks(self)
        for task in tasks:
            if not task.cancelling():
                task.cancel()
        return tasks

    def call_soon(  # type: ignore[override]  # - for any callback
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return _call_soon(self, self._step, callback, *args, context=context)

    def call_soon_threadsafe(  # type: ignore[override]  # - for any callback
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return _call_soon_threadsafe(self, self._step, callback, *args, context=context)

    def call_later(  # type: ignore[override]  # - for any callback
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Any:
        return _call_later(self, delay, self._step, callback, *args, context=context)

    def add_reader(  # type: ignore[override]  # - for any callback
        self, fileobj: Any, callback: Callable[..., Any], *args: Any
    ) -> None:
        super().add_reader(fileobj, self._step, callback, *args)

    def add_writer(  # type: ignore[override]  # - for any callback
        self, fileobj: Any, callback: Callable[..., Any], *args: Any
    ) -> None:
        super().add_writer(fileobj, self._step, callback, *args)

    def _step(self, callback: Callable[..., Any], *args: Any) -> None:
        self.steps += 1
        if self._is_to_cancel_all:
            self._is_to_cancel_all = False
            self.cancel_all()
        self.handler = handler = CURRENT_HANDLER.get()
        try:
            callback(*args)
        except (SystemExit, KeyboardInterrupt) as error:
            # A task has stored the error by now, so code that awaits the task gets it too.
            self._on_exit(handler, error)
        finally:
            self.handler = None
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
            raise ForbiddenToHandlers(f"loop.{name}() is forbidden: all handlers share this event loop")
        return allowed(self, *args, **options)

    return method


for _name in FORBIDDEN:
    setattr(SharedLoop, _name, _forbidden_once_shared(_name))
