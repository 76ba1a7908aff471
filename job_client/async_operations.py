"""The calls of AsyncJobClient that look at a job, at many jobs, or at the workers."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Unpack
from uuid import UUID

from job_client._gen.jobs.v1.explain_pb2 import ExplainRequest
from job_client._gen.jobs.v1.job_service_pb2 import (
    BulkCancelRequest,
    BulkRetryRequest,
    CancelOperationRequest,
    GetOperationRequest,
    WatchOperationRequest,
)
from job_client._gen.jobs.v1.job_types_pb2 import ListTypesRequest
from job_client._gen.jobs.v1.log_pb2 import GetLogRequest
from job_client._gen.jobs.v1.stats_pb2 import StatsRequest
from job_client._gen.jobs.v1.worker_service_pb2 import GetStateRequest, StartRequest, StopRequest
from job_client.async_base import AsyncBase
from job_client.decode import decode
from job_client.fields import id_text, text, whole
from job_client.handles import JobRef
from job_client.options import JobFilter, fill_filter, known
from job_client.reports import Explanation, Fleet, FleetChange, JobType, Log, Operation, Stats
from job_client.watching import watch_operation


class AsyncOperations(AsyncBase):
    """Part of AsyncJobClient."""

    # --- Many jobs ---

    async def bulk_cancel(
        self,
        *,
        reason: str = "",
        dry_run: bool = False,
        timeout: float | None = None,
        **conditions: Unpack[JobFilter],
    ) -> Operation:
        """Cancel all jobs that match all conditions and have not ended. `watch_operation` shows the progress.

        `dry_run`: change nothing; `matched` of the operation is what would be tried. At least one condition
        is needed. The call is not repeated after an error.
        """
        known("bulk_cancel", conditions, JobFilter)
        request = BulkCancelRequest(reason=text("reason", reason), dry_run=dry_run)
        fill_filter(request.filter, conditions)
        return decode(await self._call("BulkCancel", request, timeout), Operation)

    async def bulk_retry(
        self, *, dry_run: bool = False, timeout: float | None = None, **conditions: Unpack[JobFilter]
    ) -> Operation:
        """Queue all jobs again that match all conditions and are failed or cancelled; see `bulk_cancel`."""
        known("bulk_retry", conditions, JobFilter)
        request = BulkRetryRequest(dry_run=dry_run)
        fill_filter(request.filter, conditions)
        return decode(await self._call("BulkRetry", request, timeout), Operation)

    async def get_operation(self, operation_id: UUID | str, *, timeout: float | None = None) -> Operation:
        """How far a bulk_cancel or bulk_retry is. Raises JobClientError with code NOT_FOUND."""
        request = GetOperationRequest(id=id_text(operation_id))
        return decode(await self._call("GetOperation", request, timeout), Operation)

    async def watch_operation(
        self, operation_id: UUID | str, *, timeout: float | None = None
    ) -> AsyncGenerator[Operation, None]:
        """The present state of an operation and each later one; the last is its end.

        Changes that follow each other quickly come as one state. Only the last state has the refusals. An
        outage of the server is bridged: a state may come twice, but the end comes once. `timeout` None:
        without a limit; after it the watch ends without an error. Raises JobClientError with code NOT_FOUND.
        """
        request = WatchOperationRequest(id=id_text(operation_id))
        give_up = self._session.forever(timeout)
        calls = await self._session.calls()
        async with aclosing(watch_operation(calls.long, request, give_up)) as states:
            try:
                async for state in states:
                    operation = decode(state, Operation)
                    yield operation
                    # If the stream breaks now, there is nothing more to ask for.
                    if operation.has_ended:
                        return
            except TimeoutError:
                return

    async def cancel_operation(self, operation_id: UUID | str, *, timeout: float | None = None) -> Operation:
        """End an operation early. Jobs that it has changed stay as they are."""
        request = CancelOperationRequest(id=id_text(operation_id))
        return decode(await self._call("CancelOperation", request, timeout), Operation)

    # --- Reports ---

    async def stats(self, *, timeout: float | None = None) -> Stats:
        """The jobs in numbers, by type, and the last 60 minutes."""
        return decode(await self._call("Stats", StatsRequest(), timeout), Stats)

    async def types(self, *, timeout: float | None = None) -> list[JobType]:
        """All job types: who runs each, whether it is stopped, and how many jobs wait."""
        answer = await self._call("ListTypes", ListTypesRequest(), timeout)
        return [decode(each, JobType) for each in answer.types]

    async def explain(self, job: JobRef, *, timeout: float | None = None) -> Explanation:
        """Why a job does not run now, and what happens next. Raises JobNotFound."""
        return decode(await self._call("Explain", ExplainRequest(id=id_text(job)), timeout), Explanation)

    async def log(self, job: JobRef, *, after_number: int = 0, timeout: float | None = None) -> Log:
        """What the job's handler logged and printed. `after_number`: only entries with a higher number.

        Raises JobNotFound.
        """
        request = GetLogRequest(id=id_text(job), after_number=whole("after_number", after_number))
        return decode(await self._call("GetLog", request, timeout), Log)

    # --- Workers ---

    async def workers(self, *, timeout: float | None = None) -> Fleet:
        """The workers, what each is doing, and what is stopped."""
        return decode(await self._control("GetState", GetStateRequest(), timeout), Fleet)

    async def start(
        self, *, worker: str | None = None, job_type: str | None = None, timeout: float | None = None
    ) -> FleetChange:
        """Let workers take new jobs again: one worker, jobs of one type, or all if neither is given."""
        request = StartRequest(**_part(worker, job_type))
        return decode(await self._control("Start", request, timeout), FleetChange)

    async def stop(
        self, *, worker: str | None = None, job_type: str | None = None, timeout: float | None = None
    ) -> FleetChange:
        """Stop workers from taking new jobs: one worker, jobs of one type, or all if neither is given.

        Jobs in flight finish. It holds for workers that start later, too.
        """
        request = StopRequest(**_part(worker, job_type))
        return decode(await self._control("Stop", request, timeout), FleetChange)


def _part(worker: str | None, job_type: str | None) -> dict[str, Any]:
    """The part of the fleet, as fields of a request. The server refuses both together."""
    part: dict[str, Any] = {}
    if worker is not None:
        part["worker"] = text("worker", worker)
    if job_type is not None:
        part["type"] = text("job_type", job_type)
    return part or {"all": True}
