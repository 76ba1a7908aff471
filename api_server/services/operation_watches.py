"""Watches of operations: the present state, and then the state after each change of the progress."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from uuid import UUID

from api_server.domain.errors import OperationNotFound
from api_server.domain.operation import Operation
from api_server.feed.hints import Hints
from api_server.feed.ports import Subject, Topic
from api_server.feed.watches import End, Watch, Watches
from api_server.operations.ports import OperationStore
from api_server.services.watch_events import Heartbeat
from service_runtime.group_commit import GroupCommit, Item

OPERATION_BYTES = 64 * 1024
"""About the size of an operation with all its refusals."""


class OperationWatches:
    """See the contract's comment on WatchOperation.

    A watch reads its operation at its begin and when it changes. Watches that read at the same time share the
    read. They have their places among the watches of jobs.
    """

    def __init__(self, store: OperationStore, hints: Hints, watches: Watches, heartbeat: float) -> None:
        """`heartbeat`: seconds after which a watch that has nothing to tell says so."""
        self._reads: GroupCommit[UUID, Operation | None] = GroupCommit(store.get_all)
        self._hints = hints
        self._watches = watches
        self._heartbeat = heartbeat

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place for one watch inside the block. Raises TooManyWatches."""
        with self._watches.place_for_hints():
            yield

    async def of(self, operation_id: UUID) -> AsyncGenerator[Operation | Heartbeat | End, None]:
        """To be called inside `place`. Raises OperationNotFound, StoreUnavailable."""
        watch = Watch(operation_id)
        with self._hints.on(Subject(Topic.OPERATION, operation_id), watch):
            operation = await self._read(operation_id)
            yield operation
            while not operation.has_ended:
                match await watch.next(self._heartbeat):
                    case End() as why:
                        yield why
                        return
                    case None:
                        yield Heartbeat()
                    case _:
                        before, operation = operation, await self._read(operation_id)
                        if operation.progress != before.progress:
                            yield operation
            yield End.OPERATION_ENDED

    async def _read(self, operation_id: UUID) -> Operation:
        operation = await self._reads.do(Item(operation_id, OPERATION_BYTES))
        if operation is None:
            raise OperationNotFound(operation_id)
        return operation
