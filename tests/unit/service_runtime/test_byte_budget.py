"""The bytes in use are limited; others wait in order."""

import asyncio

import pytest

from service_runtime.byte_budget import ByteBudget


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_request_over_the_limit_waits_for_a_release() -> None:
    budget = ByteBudget(100)
    await budget.acquire(60)
    await budget.acquire(40)
    waits = asyncio.create_task(budget.acquire(30))
    await turns()
    assert not waits.done()

    budget.release(30)
    await turns()
    assert waits.done()


async def test_a_small_request_does_not_overtake_a_waiting_large_one() -> None:
    budget = ByteBudget(100)
    await budget.acquire(60)
    large, small = asyncio.create_task(budget.acquire(90)), asyncio.create_task(budget.acquire(1))
    await turns()
    assert not large.done()
    assert not small.done()

    budget.release(60)
    await turns()
    assert large.done()
    assert small.done()


async def test_an_item_larger_than_the_limit_is_used_alone() -> None:
    budget = ByteBudget(100)
    await budget.acquire(101)
    waits = asyncio.create_task(budget.acquire(1))
    await turns()
    assert not waits.done()

    budget.release(101)
    await turns()
    assert waits.done()


@pytest.mark.parametrize("is_served", [False, True])
async def test_a_cancelled_waiter_keeps_nothing_and_blocks_nobody(is_served: bool) -> None:
    budget = ByteBudget(100)
    await budget.acquire(100)
    gone, waits = asyncio.create_task(budget.acquire(100)), asyncio.create_task(budget.acquire(100))
    await turns()
    if is_served:
        budget.release(100)
        gone.cancel()
    else:
        gone.cancel()
        await turns()
        budget.release(100)
    await turns()
    assert gone.cancelled()
    assert waits.done()
