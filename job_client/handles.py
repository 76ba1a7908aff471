"""Handles of jobs: what `submit` returns."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import grpc

from job_client.errors import JobFailed
from job_client.job import Job, Status
from job_client.reports import Explanation, Log, LogEntry
from job_client.results import typed_result

if TYPE_CHECKING:
    from job_client.async_client import AsyncJobClient

R = TypeVar("R")


class AsyncJobHandle(Generic[R]):
    """A job of an AsyncJobClient. `job`: as `submit` stored it, without its payload; None: not known."""

    def __init__(
        self, client: "AsyncJobClient", job_id: str, result_type: type[R], job: Job | None = None
    ) -> None:
        self._client = client
        self._result_type = result_type
        self.id = job_id
        self.job = job

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    async def result(self, *, timeout: float | None = None) -> R:
        """Wait for the end and return the result. Raises JobFailed if the job failed or was cancelled.

        `timeout` None: without a limit. Raises DeadlineExceeded after it; the job goes on.
        """
        return job_result(await self.wait(timeout=timeout), self._result_type)

    async def wait(self, *, timeout: float | None = None) -> Job:
        """Wait until the job is completed, failed or cancelled, and return it."""
        return await self._client.wait(self.id, timeout=timeout)

    async def get(self, *, timeout: float | None = None) -> Job:
        """The job as it is now."""
        return await self._client.get(self.id, timeout=timeout)

    def watch(self, *, timeout: float | None = None) -> AsyncGenerator[Job, None]:
        """The present state and each later one; the last is the end."""
        return self._client.watch(self.id, timeout=timeout)

    async def cancel(self, *, reason: str = "", timeout: float | None = None) -> Job:
        """Cancel the job if it has not ended."""
        return await self._client.cancel(self.id, reason=reason, timeout=timeout)

    async def retry(self, *, timeout: float | None = None) -> Job:
        """Queue the job again if it is failed or cancelled."""
        return await self._client.retry(self.id, timeout=timeout)

    async def explain(self, *, timeout: float | None = None) -> Explanation:
        """Why the job does not run now, and what happens next."""
        return await self._client.explain(self.id, timeout=timeout)

    async def log(self, *, timeout: float | None = None) -> Log:
        """What the job's handler logged and printed."""
        return await self._client.log(self.id, timeout=timeout)

    def follow_log(self, *, timeout: float | None = None) -> AsyncGenerator[LogEntry, None]:
        """What the job's handler logged and printed, and each new entry until the job has ended."""
        return self._client.follow_log(self.id, timeout=timeout)


JobRef = Job | AsyncJobHandle[Any] | UUID | str
"""A job, a handle of one, or its id."""


def job_result(job: Job, result_type: type[R]) -> R:
    """The result of a job that has ended. Raises JobFailed, ResultMismatch."""
    if job.status is Status.COMPLETED:
        return typed_result(job.result, result_type, job.id)
    error, how = job.error, "failed" if job.status is Status.FAILED else "was cancelled"
    what = f": {error.reason}: {error.message}" if error else ""
    failed = JobFailed(
        f"job {job.id} of type {job.type} {how}{what}",
        code=error.code if error else grpc.StatusCode.UNKNOWN,
        reason=error.reason if error else "",
        metadata={"id": job.id, "status": job.status.value},
    )
    failed.job = job
    raise failed
