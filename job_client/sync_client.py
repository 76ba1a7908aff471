"""The client for programs without asyncio. Each method calls the one of AsyncJobClient with the same name.

tests/unit/job_client/test_sync_client.py compares the methods of both classes.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Self, TypeVar, Unpack, overload

import grpc

from job_client.async_client import AsyncJobClient
from job_client.async_reads import FoundJobs
from job_client.calls import Limits
from job_client.connection import ADDRESS, from_environment
from job_client.create_many import Outcome
from job_client.fields import id_text
from job_client.job import Job, JobPage
from job_client.new_job import NewJob
from job_client.options import JobFilter, JobOptions
from job_client.reports import LogEntry
from job_client.session import CONNECT_SECONDS, TIMEOUT
from job_client.sync_calls import SyncCalls, describe_like
from job_client.sync_handle import JobHandle, JobRef
from job_client.sync_operations import Operations

R = TypeVar("R")


class JobClient(Operations):
    """A client for programs without asyncio. Threads may share it.

    Use it as `with JobClient() as client`, or just call its methods, and `close()` at the end. It opens
    itself with the first call. Ctrl-C during a call raises Interrupted. In all else it is as AsyncJobClient.
    """

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        control_address: str | None = None,
        token: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = TIMEOUT,
        connect_timeout: float = CONNECT_SECONDS,
        limits: Limits | None = None,
    ) -> None:
        self._client = AsyncJobClient(
            address,
            control_address=control_address,
            token=token,
            credentials=credentials,
            timeout=timeout,
            connect_timeout=connect_timeout,
            limits=limits,
        )
        self._calls = SyncCalls(self._client)

    @classmethod
    def from_env(cls) -> Self:
        return cls(**from_environment())

    def open(self) -> Self:
        self._calls.open()
        return self

    def close(self) -> None:
        self._calls.close()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # --- Create ---

    @overload
    def submit(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[R],
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> JobHandle[R]: ...
    @overload
    def submit(
        self, job_type: str, payload: Any, *, timeout: float | None = None, **options: Unpack[JobOptions]
    ) -> JobHandle[dict[str, Any]]: ...
    def submit(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[Any] = dict,
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> JobHandle[Any]:
        submit: Any = self._client.submit  # the overloads do not fit together with type[Any]
        given: Any = {**options, "result": result, "timeout": timeout}
        return JobHandle(self._calls.run(submit, job_type, payload, **given), self._calls)

    @overload
    def run(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[R],
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> R: ...
    @overload
    def run(
        self, job_type: str, payload: Any, *, timeout: float | None = None, **options: Unpack[JobOptions]
    ) -> dict[str, Any]: ...
    def run(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[Any] = dict,
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> Any:
        run: Any = self._client.run
        given: Any = {**options, "result": result, "timeout": timeout}
        return self._calls.run(run, job_type, payload, **given)

    def submit_many(self, jobs: Iterable[NewJob], *, timeout: float | None = None) -> Iterator[Outcome]:
        return self._calls.submit_many(jobs, timeout)

    @overload
    def handle(self, job: JobRef, *, result: type[R]) -> JobHandle[R]: ...
    @overload
    def handle(self, job: JobRef) -> JobHandle[dict[str, Any]]: ...
    def handle(self, job: JobRef, *, result: type[Any] = dict) -> JobHandle[Any]:
        return JobHandle(self._client.handle(id_text(job), result=result), self._calls)

    # --- Read ---

    def get(self, job: JobRef, *, timeout: float | None = None) -> Job:
        return self._calls.run(self._client.get, id_text(job), timeout=timeout)

    def get_many(self, jobs: Iterable[JobRef], *, timeout: float | None = None) -> FoundJobs:
        ids = [id_text(job, f"ids[{index}]") for index, job in enumerate(jobs)]
        return self._calls.run(self._client.get_many, ids, timeout=timeout)

    def list_page(
        self,
        *,
        page_size: int = 50,
        page_token: str = "",
        oldest_first: bool = False,
        basic: bool = False,
        total: bool = False,
        timeout: float | None = None,
        **conditions: Unpack[JobFilter],
    ) -> JobPage:
        return self._calls.run(
            self._client.list_page,
            page_size=page_size,
            page_token=page_token,
            oldest_first=oldest_first,
            basic=basic,
            total=total,
            timeout=timeout,
            **conditions,
        )

    def list(
        self,
        *,
        limit: int | None = None,
        oldest_first: bool = False,
        basic: bool = False,
        timeout: float | None = None,
        **conditions: Unpack[JobFilter],
    ) -> Iterator[Job]:
        return self._calls.iterate(
            self._client.list,
            limit=limit,
            oldest_first=oldest_first,
            basic=basic,
            timeout=timeout,
            **conditions,
        )

    def wait(self, job: JobRef, *, timeout: float | None = None) -> Job:
        return self._calls.run(self._client.wait, id_text(job), timeout=timeout)

    def watch(
        self,
        job: JobRef | None = None,
        *,
        statuses: Iterable[str] = (),
        types: Iterable[str] = (),
        labels: Mapping[str, str] = {},
        timeout: float | None = None,
    ) -> Iterator[Job]:
        job_id = None if job is None else id_text(job)
        return self._calls.iterate(
            self._client.watch, job_id, statuses=statuses, types=types, labels=labels, timeout=timeout
        )

    def follow_log(
        self, job: JobRef, *, after_number: int = 0, timeout: float | None = None
    ) -> Iterator[LogEntry]:
        return self._calls.iterate(
            self._client.follow_log, id_text(job), after_number=after_number, timeout=timeout
        )

    # --- Change ---

    def cancel(self, job: JobRef, *, reason: str = "", timeout: float | None = None) -> Job:
        return self._calls.run(self._client.cancel, id_text(job), reason=reason, timeout=timeout)

    def retry(self, job: JobRef, *, expire_time: datetime | None = None, timeout: float | None = None) -> Job:
        return self._calls.run(self._client.retry, id_text(job), expire_time=expire_time, timeout=timeout)

    def delete(self, job: JobRef, *, timeout: float | None = None) -> None:
        self._calls.run(self._client.delete, id_text(job), timeout=timeout)


describe_like(JobClient, AsyncJobClient)
