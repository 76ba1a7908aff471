"""An executor on an event loop of its own, so that a test needs no loop."""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from worker_service.execution.executor import Executor
from worker_service.testing.recorded_lines import record_lines

THREADS = 32
PROCESSES = 2
CLOSE_SECONDS = 5.0
T = TypeVar("T")


class Background:
    """It stays the same for as long as the process lives, as in a worker: handlers share locks and HTTP
    sessions, and these belong to the loop that they were first used in.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="run-handler", daemon=True)
        self._thread.start()
        self.executor = self.run(self._new_executor())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of `coroutine`, which runs in the loop. Ctrl-C cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self.executor.close(), self._loop).result(CLOSE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _new_executor(self) -> Executor:
        return Executor(threads=THREADS, processes=PROCESSES, prepare_process=record_lines)


_lock = threading.Lock()
_of_process: dict[int, Background] = {}
"""By process id: a fork has no threads of its parent."""


def background() -> Background:
    """The one of this process. It starts with the first call."""
    with _lock:
        pid = os.getpid()
        if pid not in _of_process:
            _of_process.clear()
            _of_process[pid] = Background()
            atexit.register(_of_process[pid].close)
        return _of_process[pid]
