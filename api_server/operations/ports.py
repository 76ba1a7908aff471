"""What operations need from outside. The store raises StoreUnavailable as those of api_server.ports do."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from api_server.domain.listing import JobFilter
from api_server.domain.operation import Batch, Operation, OperationPage, Refusal, State


class OperationStore(Protocol):
    """Operations on many jobs, and their progress. An operation is kept for 7 days after its end."""

    async def insert(self, operation: Operation) -> None:
        """Store a new operation."""

    async def get(self, operation_id: UUID) -> Operation | None:
        """The operation; None: no such operation."""

    async def get_all(self, operation_ids: Sequence[UUID]) -> list[Operation | None]:
        """The operations in the order of the ids, without their batches; None: no such operation."""

    async def page(self, after: UUID | None, size: int) -> OperationPage:
        """Up to `size` operations with ids below `after`, newest first, without their refusals."""

    async def count_unfinished(self, limit: int) -> int:
        """How many operations have not ended, at most `limit`."""

    async def next_unfinished(self) -> Operation | None:
        """The oldest operation that has not ended; None: there is none."""

    async def begin_batch(self, operation: Operation, batch: Batch, now: datetime) -> bool:
        """Record the jobs that are changed next.

        False: nothing was recorded now, because the operation is not as it was read any more.
        """

    async def end_batch(
        self, operation: Operation, batch: Batch, refusals: Sequence[Refusal], now: datetime
    ) -> None:
        """Count the recorded batch, unless it was counted before. `refusals`: why jobs were not changed."""

    async def end(self, operation_id: UUID, state: State, now: datetime) -> None:
        """End the operation, unless it has ended before or does not exist."""


class UnfinishedJobs(Protocol):
    """The jobs that have not ended, found without a look at those that have."""

    async def skip(self, wanted: JobFilter, after: UUID) -> UUID | None:
        """An id after which the first wanted job after `after` stands; None: there is no such job.

        `wanted` must select queued and processing jobs only. Returns `after` itself if so many jobs have not
        ended that the search takes too long.
        """
