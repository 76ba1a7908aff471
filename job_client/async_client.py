"""The client for asyncio programs: submits jobs, reads them and waits for them."""

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from datetime import datetime
from typing import Any, Self, TypeVar, Unpack, overload

import grpc

from job_client._gen.jobs.v1.job_service_pb2 import (
    CancelRequest,
    DeleteRequest,
    RetryRequest,
)
from job_client.async_operations import AsyncOperations
from job_client.async_reads import AsyncReads
from job_client.calls import Limits
from job_client.capacity import Capacity
from job_client.connection import ADDRESS, from_environment
from job_client.create_many import OrderedCreates, Outcome
from job_client.fields import id_text, moment, text
from job_client.handles import AsyncJobHandle, JobRef, job_result
from job_client.job import Job, to_job
from job_client.new_job import NewJob, encode
from job_client.options import JobOptions, known
from job_client.results import check_result_type
from job_client.session import CONNECT_SECONDS, TIMEOUT, Session

R = TypeVar("R")


class AsyncJobClient(AsyncReads, AsyncOperations):
    """A client for one event loop. JobClient has the same methods for programs without asyncio.

    Use it as `async with AsyncJobClient() as client`, or call `open()` and `close()`. Its methods raise
    JobClientError (job_client/errors.py). They raise TypeError or ValueError for an argument that the method
    does not have, for a `timeout` that is not a number of seconds, for a `result` that is no such type, and
    for an argument that should be iterable and is not.

    Callers do not wait for each other. Requests that are made while earlier calls are in flight go together
    in one call, so many callers at a time cost little. A call with an unknown outcome is repeated until
    `timeout` seconds are over, if this is safe. It never creates a job twice, because the client chooses the
    job's id. When a caller is cancelled, its request is withdrawn if it was not sent yet; a request in flight
    may still be carried out.
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
        """`address`: host:port of the gateway's jobs port or of an API server, or a URL: https means TLS.

        `control_address`: the gateway's port for workers; None: port 4000 of the same host. `token` is sent
        as `authorization: Bearer`. `credentials`: for TLS with certificates of your own. `timeout`: the
        default of all calls but waits. `connect_timeout`: how long the first call waits for a server. Raises
        ValueError or TypeError for an argument that is wrong.
        """
        self._session = Session(
            address, control_address, token, credentials, (timeout, connect_timeout), limits
        )

    @classmethod
    def from_env(cls) -> Self:
        """A client with JOBS_URL, JOBS_CONTROL_URL, JOBS_TOKEN or JOBS_TOKEN_FILE, and JOBS_CA_FILE from the
        environment.
        """
        return cls(**from_environment())

    async def open(self) -> Self:
        """Make the client ready. The connection is made with the first call.

        Raises JobClientError in a process that was forked while gRPC was in use.
        """
        self._session.open()
        return self

    async def close(self) -> None:
        """Everything that is pending ends with ClientClosed."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    # --- Create ---

    @overload
    async def submit(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[R],
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> AsyncJobHandle[R]: ...
    @overload
    async def submit(
        self, job_type: str, payload: Any, *, timeout: float | None = None, **options: Unpack[JobOptions]
    ) -> AsyncJobHandle[dict[str, Any]]: ...
    async def submit(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[Any] = dict,
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> AsyncJobHandle[Any]:
        """Create a job. It is stored durably when this returns.

        `payload`: a dict, a dataclass, a TypedDict or a pydantic model. `result`: the type in which the
        handle returns the result. NewJob describes the options. Raises InvalidArgument, JobIdTaken,
        DeadlineExceeded. After DeadlineExceeded the job may be stored or not. It is safe to submit it again
        with the `id` in the error's metadata.
        """
        check_result_type(result)
        known("submit", options, JobOptions)
        encoded = encode(NewJob(job_type, payload, **options))
        calls = await self._session.calls()
        job = await calls.create(encoded, self._session.give_up(timeout))
        return AsyncJobHandle(self, job.id, result, job)

    @overload
    async def run(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[R],
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> R: ...
    @overload
    async def run(
        self, job_type: str, payload: Any, *, timeout: float | None = None, **options: Unpack[JobOptions]
    ) -> dict[str, Any]: ...
    async def run(
        self,
        job_type: str,
        payload: Any,
        *,
        result: type[Any] = dict,
        timeout: float | None = None,
        **options: Unpack[JobOptions],
    ) -> Any:
        """Create a job, wait for its end and return its result. `timeout` None: without a limit.

        Raises what `submit` raises, JobFailed if the job failed or was cancelled, and DeadlineExceeded with
        the job's `id` in its metadata: the job goes on.
        """
        check_result_type(result)
        known("run", options, JobOptions)
        encoded = encode(NewJob(job_type, payload, **options))
        calls = await self._session.calls()
        give_up, create_by = self._session.forever(timeout), self._session.give_up(None)
        job = await calls.waits.run(encoded.request(), give_up, create_by)
        if job is None:
            await calls.create(encoded, min(give_up, create_by))
            job = await calls.waits.wait(encoded.id, give_up)
        return job_result(job, result)

    async def submit_many(
        self, jobs: Iterable[NewJob] | AsyncIterable[NewJob], *, timeout: float | None = None
    ) -> AsyncGenerator[Outcome, None]:
        """Create jobs and yield the outcome of each, in the order of `jobs`, as soon as it is known.

        A job that is refused does not delay the others. `jobs` may be endless: it is read only while there is
        capacity (Limits) for jobs whose outcome was not yielded yet. `timeout` holds for each job, from the
        moment when it is queued. Raises ClientClosed, and what `jobs` raises.
        """
        limit = self._session.seconds(timeout)
        calls = await self._session.calls()
        capacity = Capacity(calls.limits.pending_items, calls.limits.pending_bytes)
        creates = OrderedCreates(calls.creates, capacity, limit)
        async with aclosing(creates.outcomes(jobs)) as outcomes:
            async for outcome in outcomes:
                yield outcome

    @overload
    def handle(self, job: JobRef, *, result: type[R]) -> AsyncJobHandle[R]: ...
    @overload
    def handle(self, job: JobRef) -> AsyncJobHandle[dict[str, Any]]: ...
    def handle(self, job: JobRef, *, result: type[Any] = dict) -> AsyncJobHandle[Any]:
        """A handle of a job that exists already. Makes no call."""
        check_result_type(result)
        return AsyncJobHandle(self, id_text(job), result)

    # --- Change ---

    async def cancel(self, job: JobRef, *, reason: str = "", timeout: float | None = None) -> Job:
        """Cancel a job that has not ended. Raises JobNotFound; JobClientError with reason JOB_TERMINAL."""
        request = CancelRequest(id=id_text(job), reason=text("reason", reason))
        return to_job(await self._call("Cancel", request, timeout))

    async def retry(
        self, job: JobRef, *, expire_time: datetime | None = None, timeout: float | None = None
    ) -> Job:
        """Queue a failed or cancelled job again. `expire_time`: its new one; None: it keeps the old one.

        Raises JobNotFound; JobClientError with reason ILLEGAL_TRANSITION, JOB_TERMINAL or EXPIRED.
        """
        request = RetryRequest(id=id_text(job))
        if expire_time is not None:
            request.expire_time.FromDatetime(moment("expire_time", expire_time))
        return to_job(await self._call("Retry", request, timeout))

    async def delete(self, job: JobRef, *, timeout: float | None = None) -> None:
        """Delete a job that has ended. Raises JobClientError with reason JOB_NOT_ENDED."""
        await self._call("Delete", DeleteRequest(id=id_text(job)), timeout)
