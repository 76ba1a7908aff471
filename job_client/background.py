"""An event loop in a thread of its own, for programs without asyncio.

All open JobClients of a process share one, because grpc.aio logs errors if a process has several event loops.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from job_client.errors import Interrupted

T = TypeVar("T")
CLOSE_SECONDS = 2.0
"""How long the end of the process waits for clients that were not closed."""


class Background:
    """The event loop. It runs while at least one user holds it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._users: dict[object, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._after_fork)
        atexit.register(self._at_exit)

    def acquire(self, user: object, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start the loop if nobody holds it. `close` is run at the end of the process."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._serve, args=(self._loop,), name="job_client", daemon=True
                )
                self._thread.start()
            self._users[user] = close

    def release(self, user: object) -> None:
        """Stop the loop if nobody else holds it."""
        with self._lock:
            if self._users.pop(user, None) is None or self._users or self._loop is None:
                return
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None:
            thread.join(CLOSE_SECONDS)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin to run it. Raises RuntimeError if nobody holds the loop."""
        loop = self._loop
        if loop is None:
            coroutine.close()
            raise RuntimeError("the event loop of job_client has ended")
        return asyncio.run_coroutine_threadsafe(coroutine, loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result. Raises Interrupted at Ctrl-C, without waiting for the end of what was begun."""
        return self.result(self.start(coroutine))

    def result(self, future: Future[T]) -> T:
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise Interrupted(
                "Ctrl-C ended the call; a job that was submitted goes on, and can be waited for by its id",
                reason="CLIENT_INTERRUPTED",
            ) from None

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            rest = asyncio.all_tasks(loop)
            for task in rest:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def _after_fork(self) -> None:
        """The thread does not exist in the child."""
        self._lock = threading.Lock()
        self._users, self._loop, self._thread = {}, None, None

    def _at_exit(self) -> None:
        for user, close in list(self._users.items()):
            with suppress(Exception):  # the process ends anyway
                self.start(close()).result(CLOSE_SECONDS)
            self.release(user)


BACKGROUND = Background()
