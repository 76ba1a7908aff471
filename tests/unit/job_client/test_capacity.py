"""Capacity: callers that exceed it wait in order."""

import asyncio

from job_client.capacity import Capacity
from tests.unit.job_client.word_server import (
    settled,
)


async def test_capacity_is_given_in_order_and_not_lost_when_a_waiter_is_cancelled() -> None:
    capacity = Capacity(items=2, size=10)
    await capacity.acquire(6)
    acquiring = [asyncio.create_task(capacity.acquire(size)) for size in (5, 1, 1)]
    await settled()
    assert [task.done() for task in acquiring] == [False] * 3
    acquiring[0].cancel()
    await settled()
    assert [task.done() for task in acquiring] == [True, True, False]
    capacity.release(6)
    acquiring[2].cancel()
    await settled()
    assert acquiring[2].cancelled()
    assert capacity.try_acquire(9)
    assert not capacity.try_acquire(1)


async def test_an_item_larger_than_the_capacity_enters_alone() -> None:
    capacity = Capacity(items=5, size=10)
    assert capacity.try_acquire(11)
    assert not capacity.try_acquire(0)
    capacity.release(11)
    assert capacity.try_acquire(10)
    assert not capacity.try_acquire(1)
