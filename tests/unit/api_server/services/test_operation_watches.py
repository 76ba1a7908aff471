"""A watch of an operation: the present state, each change of its progress, and its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import pytest

from api_server.domain.errors import OperationNotFound, StoreUnavailable, TooManyWatches
from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.operation import Kind, Operation, State
from api_server.feed.demand import Demand
from api_server.feed.hints import Hints
from api_server.feed.ports import Subject, Topic
from api_server.feed.watches import End, Watches
from api_server.services.operation_watches import OperationWatches
from api_server.services.watch_events import Heartbeat
from tests.unit.api_server.feed.feed_fakes import NOW

BEGUN = Operation(UUID(int=1), Kind.BULK_RETRY, JobFilter(), "", NOW, NOW, JobCount(3, is_capped=False))
RUNNING = replace(BEGUN, state=State.RUNNING)
RARELY = 30.0


class Parts:
    """A store of one operation, and all that watches need."""

    def __init__(self, operation: Operation | None, heartbeat: float = RARELY, limit: int = 9) -> None:
        self.operation = operation
        self.reads = 0
        self.fails = False
        self.demand = Demand()
        self.hints = Hints()
        watches = Watches(limit, self.demand)
        self.watches = OperationWatches(cast("Any", self), self.hints, watches, heartbeat)

    def change(self, operation: Operation) -> None:
        self.operation = operation
        self.hints.give([Subject(Topic.OPERATION, BEGUN.id)])

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[Any]:
        with self.watches.place():
            async with aclosing(self.watches.of(BEGUN.id)) as events:
                yield lambda: asyncio.wait_for(anext(events), RARELY)

    # The port.

    async def get_all(self, operation_ids: Sequence[UUID]) -> list[Operation | None]:
        self.reads += 1
        if self.fails:
            raise StoreUnavailable
        return [self.operation if each == BEGUN.id else None for each in operation_ids]


async def test_the_present_state_comes_first_and_then_each_progress() -> None:
    parts = Parts(BEGUN)
    finished = replace(RUNNING, changed=2, refused=1, state=State.FINISHED)
    async with parts.watching() as read:
        assert await read() == BEGUN
        for step in (RUNNING, replace(RUNNING, changed=2), replace(RUNNING, changed=2, refused=1), finished):
            parts.change(step)
            assert await read() == step
        assert await read() is End.OPERATION_ENDED
        with pytest.raises(StopAsyncIteration):
            await read()
    assert not parts.hints.are_wanted


async def test_a_change_that_is_no_progress_is_not_told() -> None:
    parts = Parts(RUNNING, heartbeat=0.01)
    async with parts.watching() as read:
        await read()
        parts.change(replace(RUNNING, update_time=NOW.replace(year=2027)))
        assert await read() == Heartbeat()
        assert parts.reads == 2


async def test_changes_that_follow_each_other_quickly_come_as_one() -> None:
    parts = Parts(RUNNING)
    async with parts.watching() as read:
        await read()
        for changed in (1, 2, 3):
            parts.change(replace(RUNNING, changed=changed))
        assert (await read()).changed == 3
        assert parts.reads == 2


async def test_nothing_is_read_while_nothing_happens() -> None:
    parts = Parts(RUNNING, heartbeat=0.01)
    async with parts.watching() as read:
        await read()
        assert [await read() for _ in range(5)] == [Heartbeat()] * 5
    assert parts.reads == 1
    assert not parts.demand.is_there


@pytest.mark.parametrize("state", [State.FINISHED, State.CANCELLED, State.FAILED])
async def test_an_operation_that_has_ended_is_told_once(state: State) -> None:
    async with Parts(replace(BEGUN, state=state)).watching() as read:
        assert (await read()).state is state
        assert await read() is End.OPERATION_ENDED


async def test_an_operation_that_does_not_exist_is_an_error() -> None:
    async with Parts(None).watching() as read:
        with pytest.raises(OperationNotFound):
            await read()


async def test_an_outage_ends_the_watch_with_its_error() -> None:
    parts = Parts(RUNNING)
    async with parts.watching() as read:
        await read()
        parts.fails = True
        parts.change(replace(RUNNING, changed=1))
        with pytest.raises(StoreUnavailable):
            await read()


async def test_it_ends_when_the_server_stops() -> None:
    parts = Parts(RUNNING)
    async with parts.watching() as read:
        await read()
        parts.hints.close()
        assert await read() is End.SERVER_STOPPING


async def test_there_are_as_many_places_as_the_limit_says() -> None:
    parts = Parts(RUNNING, limit=1)
    with parts.watches.place(), pytest.raises(TooManyWatches), parts.watches.place():
        pass
    with parts.watches.place():
        pass
