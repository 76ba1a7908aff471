"""Handles of jobs for programs without asyncio."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from job_client.handles import AsyncJobHandle
from job_client.handles import JobRef as AsyncJobRef
from job_client.job import Job
from job_client.reports import Explanation, Log, LogEntry
from job_client.sync_calls import SyncCalls, describe_like

R = TypeVar("R")


class JobHandle(Generic[R]):
    """A job of a JobClient. `job`: as `submit` stored it, without its payload; None if it is not known."""

    def __init__(self, handle: AsyncJobHandle[R], calls: SyncCalls) -> None:
        self._handle = handle
        self._calls = calls
        self.id = handle.id
        self.job = handle.job

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def result(self, *, timeout: float | None = None) -> R:
        return self._calls.run(self._handle.result, timeout=timeout)

    def wait(self, *, timeout: float | None = None) -> Job:
        return self._calls.run(self._handle.wait, timeout=timeout)

    def get(self, *, timeout: float | None = None) -> Job:
        return self._calls.run(self._handle.get, timeout=timeout)

    def watch(self, *, timeout: float | None = None) -> Iterator[Job]:
        return self._calls.iterate(self._handle.watch, timeout=timeout)

    def cancel(self, *, reason: str = "", timeout: float | None = None) -> Job:
        return self._calls.run(self._handle.cancel, reason=reason, timeout=timeout)

    def retry(self, *, timeout: float | None = None) -> Job:
        return self._calls.run(self._handle.retry, timeout=timeout)

    def explain(self, *, timeout: float | None = None) -> Explanation:
        return self._calls.run(self._handle.explain, timeout=timeout)

    def log(self, *, timeout: float | None = None) -> Log:
        return self._calls.run(self._handle.log, timeout=timeout)

    def follow_log(self, *, timeout: float | None = None) -> Iterator[LogEntry]:
        return self._calls.iterate(self._handle.follow_log, timeout=timeout)


JobRef = AsyncJobRef | JobHandle[Any]
"""A job, a handle of one, or its id."""
describe_like(JobHandle, AsyncJobHandle)
