"""Operations on many jobs: begins them, shows them and ends them. The loop in operations/ runs them."""

from collections.abc import Callable
from uuid import UUID

import structlog

from api_server.domain.creation import new_job_id
from api_server.domain.errors import OperationNotFound, TooManyOperations
from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.operation import Kind, Operation, OperationPage, State, jobs_to_change
from api_server.operations.ports import OperationStore
from api_server.ports import Clock, JobStore

log = structlog.get_logger()

MAX_UNFINISHED = 100


class OperationService:
    """See the contract's comments on BulkCancel and the calls after it.

    Every call raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(self, store: OperationStore, jobs: JobStore, clock: Clock, wake: Callable[[], None]) -> None:
        """`wake`: tells the loop that an operation waits."""
        self._store = store
        self._jobs = jobs
        self._clock = clock
        self._wake = wake

    async def preview(self, kind: Kind, wanted: JobFilter) -> JobCount:
        """How many jobs an operation would try to change now."""
        selected = jobs_to_change(kind, wanted, self._clock.now())
        return JobCount(0, is_capped=False) if selected is None else await self._jobs.count(selected)

    async def begin(self, kind: Kind, wanted: JobFilter, reason: str = "") -> Operation:
        """Store an operation, which runs soon after. Raises TooManyOperations."""
        if await self._store.count_unfinished(MAX_UNFINISHED) >= MAX_UNFINISHED:
            raise TooManyOperations(MAX_UNFINISHED)
        matched = await self.preview(kind, wanted)
        now = self._clock.now()
        operation = Operation(new_job_id(now), kind, wanted, reason, now, now, matched)
        await self._store.insert(operation)
        log.info("operation_began", operation=str(operation.id), kind=kind.value, matched=matched.count)
        self._wake()
        return operation

    async def get(self, operation_id: UUID) -> Operation:
        """Raises OperationNotFound."""
        operation = await self._store.get(operation_id)
        if operation is None:
            raise OperationNotFound(operation_id)
        return operation

    async def page(self, after: UUID | None, size: int) -> OperationPage:
        """See OperationStore.page."""
        return await self._store.page(after, size)

    async def cancel(self, operation_id: UUID) -> Operation:
        """End an operation that has not ended. Returns it afterwards. Raises OperationNotFound."""
        await self._store.end(operation_id, State.CANCELLED, self._clock.now())
        return await self.get(operation_id)
