"""How JobClient calls AsyncJobClient: in the background's event loop, while the caller's thread waits."""

import os
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from job_client.async_client import AsyncJobClient
from job_client.background import BACKGROUND
from job_client.create_many import Outcome
from job_client.errors import ClientClosed
from job_client.forks import FORKS, forked
from job_client.new_job import NewJob

P = ParamSpec("P")
T = TypeVar("T")
CHUNK_JOBS, CHUNK_SECONDS = 250, 0.05
"""`submit_many` hands over this many jobs at a time, or those that came in this time."""
CHUNKS = 4
"""The maximum of chunks in flight."""
_END: Any = object()


class SyncCalls:
    """Opens the client at its first call. Threads may share it."""

    def __init__(self, client: AsyncJobClient) -> None:
        self._client = client
        self._process: int | None = None
        self._is_closed = False

    def open(self) -> None:
        """Raises JobClientError in a process that was forked while gRPC was in use."""
        self._check_process()
        FORKS.check()
        if self._process is None:
            BACKGROUND.acquire(self, self._client.close)
            self._process, self._is_closed = os.getpid(), False
        BACKGROUND.run(self._client.open())

    def close(self) -> None:
        """In a forked process it does nothing."""
        self._is_closed = True
        if self._process != os.getpid():
            return
        self._process = None
        try:
            BACKGROUND.run(self._client.close())
        finally:
            BACKGROUND.release(self)

    def run(self, method: Callable[P, Coroutine[Any, Any, T]], *arguments: P.args, **options: P.kwargs) -> T:
        self._make_ready()
        return BACKGROUND.run(method(*arguments, **options))

    def iterate(
        self, method: Callable[P, AsyncGenerator[T, None]], *arguments: P.args, **options: P.kwargs
    ) -> Iterator[T]:
        self._make_ready()
        items = method(*arguments, **options)
        try:
            while (item := BACKGROUND.run(_next(items))) is not _END:
                yield item
        finally:
            if self._process == os.getpid():
                BACKGROUND.start(items.aclose())

    def submit_many(self, jobs: Iterable[NewJob], timeout: float | None) -> Iterator[Outcome]:
        """Reads `jobs` in the caller's thread, because they may come from something that belongs to it."""
        self._make_ready()
        running: deque[Future[list[Outcome]]] = deque()
        source = Chunks(jobs)
        try:
            for chunk in source:
                running.append(BACKGROUND.start(self._outcomes(chunk, timeout)))
                while running and (len(running) >= CHUNKS or running[0].done()):
                    yield from BACKGROUND.result(running.popleft())
            while running:
                yield from BACKGROUND.result(running.popleft())
            if source.error is not None:
                raise source.error
        finally:
            for future in running:
                future.cancel()

    async def _outcomes(self, jobs: list[NewJob], timeout: float | None) -> list[Outcome]:
        return [outcome async for outcome in self._client.submit_many(jobs, timeout=timeout)]

    def _make_ready(self) -> None:
        self._check_process()
        if self._is_closed:
            raise ClientClosed("the client is closed; make a new one, or call open()")
        if self._process is None:
            self.open()

    def _check_process(self) -> None:
        if self._process not in (None, os.getpid()):
            raise forked(
                f"this client was opened in process {self._process}, and this process was forked from it"
            )


async def _next(items: AsyncGenerator[T, None]) -> T:
    return await anext(items, _END)


class Chunks:
    """The jobs in chunks. It ends when `jobs` raises an exception, which is `error` then."""

    def __init__(self, jobs: Iterable[NewJob]) -> None:
        self._source = iter(jobs)
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[list[NewJob]]:
        while chunk := self._next_chunk():
            yield chunk

    def _next_chunk(self) -> list[NewJob]:
        """Empty at the end."""
        chunk: list[NewJob] = []
        begin = time.monotonic()
        try:
            while (
                not self.error and len(chunk) < CHUNK_JOBS and (job := next(self._source, _END)) is not _END
            ):
                chunk.append(job)
                if time.monotonic() - begin > CHUNK_SECONDS:
                    break
        except Exception as error:  # noqa: BLE001 - raised by the caller's iterable, and later to the caller
            self.error = error
        return chunk


def describe_like(wanted: type[Any], model: type[Any]) -> None:
    """Give each method without a docstring the one of the method that it calls, for `help()`."""
    for name, method in vars(wanted).items():
        if callable(method) and not method.__doc__ and hasattr(model, name):
            method.__doc__ = getattr(model, name).__doc__
