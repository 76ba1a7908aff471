"""The calls of JobClient that look at a job, at many jobs, or at the workers."""

from collections.abc import Iterator
from typing import Unpack
from uuid import UUID

from job_client.async_client import AsyncJobClient
from job_client.async_operations import AsyncOperations
from job_client.fields import id_text
from job_client.options import JobFilter
from job_client.reports import Explanation, Fleet, FleetChange, JobType, Log, Operation, Stats
from job_client.sync_calls import SyncCalls, describe_like
from job_client.sync_handle import JobRef


class Operations:
    """Part of JobClient."""

    _client: AsyncJobClient
    _calls: SyncCalls

    # --- Many jobs ---

    def bulk_cancel(
        self,
        *,
        reason: str = "",
        dry_run: bool = False,
        timeout: float | None = None,
        **conditions: Unpack[JobFilter],
    ) -> Operation:
        return self._calls.run(
            self._client.bulk_cancel, reason=reason, dry_run=dry_run, timeout=timeout, **conditions
        )

    def bulk_retry(
        self, *, dry_run: bool = False, timeout: float | None = None, **conditions: Unpack[JobFilter]
    ) -> Operation:
        return self._calls.run(self._client.bulk_retry, dry_run=dry_run, timeout=timeout, **conditions)

    def get_operation(self, operation_id: UUID | str, *, timeout: float | None = None) -> Operation:
        return self._calls.run(self._client.get_operation, operation_id, timeout=timeout)

    def watch_operation(
        self, operation_id: UUID | str, *, timeout: float | None = None
    ) -> Iterator[Operation]:
        return self._calls.iterate(self._client.watch_operation, operation_id, timeout=timeout)

    def cancel_operation(self, operation_id: UUID | str, *, timeout: float | None = None) -> Operation:
        return self._calls.run(self._client.cancel_operation, operation_id, timeout=timeout)

    # --- Reports ---

    def stats(self, *, timeout: float | None = None) -> Stats:
        return self._calls.run(self._client.stats, timeout=timeout)

    def types(self, *, timeout: float | None = None) -> list[JobType]:
        return self._calls.run(self._client.types, timeout=timeout)

    def explain(self, job: JobRef, *, timeout: float | None = None) -> Explanation:
        return self._calls.run(self._client.explain, id_text(job), timeout=timeout)

    def log(self, job: JobRef, *, after_number: int = 0, timeout: float | None = None) -> Log:
        return self._calls.run(self._client.log, id_text(job), after_number=after_number, timeout=timeout)

    # --- Workers ---

    def workers(self, *, timeout: float | None = None) -> Fleet:
        return self._calls.run(self._client.workers, timeout=timeout)

    def start(
        self, *, worker: str | None = None, job_type: str | None = None, timeout: float | None = None
    ) -> FleetChange:
        return self._calls.run(self._client.start, worker=worker, job_type=job_type, timeout=timeout)

    def stop(
        self, *, worker: str | None = None, job_type: str | None = None, timeout: float | None = None
    ) -> FleetChange:
        return self._calls.run(self._client.stop, worker=worker, job_type=job_type, timeout=timeout)


describe_like(Operations, AsyncOperations)
