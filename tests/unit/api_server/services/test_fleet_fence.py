"""Each API server knows the desired state of the fleet, half a second old at most."""

import asyncio

import pytest

from api_server.domain.errors import StoreUnavailable
from api_server.domain.fleet import Fleet
from api_server.services.fleet_fence import FRESH_SECONDS, FleetFence

DEADLINE = 20.0


class Store:
    """A desired state. A read waits while `gate` is cleared."""

    def __init__(self) -> None:
        self.time = 0.0
        self.desired = Fleet()
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_away = False
        self.fence = FleetFence(self, lambda: self.time)

    async def fleet(self) -> Fleet:
        self.reads += 1
        desired = self.desired
        await self.gate.wait()
        if self.is_away:
            raise StoreUnavailable
        return desired

    async def change(self, _change: object) -> Fleet:
        raise NotImplementedError


async def test_a_fresh_state_costs_no_read() -> None:
    store = Store()
    for _ in range(3):
        assert await store.fence.desired() == Fleet()
        store.time += FRESH_SECONDS / 3
    assert store.reads == 1


async def test_an_old_state_is_read_again_once_for_all_callers() -> None:
    store = Store()
    await store.fence.desired()
    store.time += FRESH_SECONDS + 0.01
    store.desired = Fleet(consuming=False, revision=1)

    assert await asyncio.gather(*(store.fence.desired() for _ in range(5))) == [store.desired] * 5
    assert store.reads == 2


async def test_a_read_that_took_too_long_does_not_count() -> None:
    store = Store()
    store.gate.clear()
    asks = asyncio.create_task(store.fence.desired())
    while not store.reads:
        await asyncio.sleep(0)
    # This process, or the store, stands still for longer than a state is fresh. Meanwhile a stop is stored.
    store.time += FRESH_SECONDS + 0.01
    store.desired = Fleet(consuming=False, revision=1)
    store.gate.set()

    assert await asyncio.wait_for(asks, DEADLINE) == store.desired


async def test_a_cancelled_caller_does_not_end_the_read_of_others() -> None:
    store = Store()
    store.gate.clear()
    gone, stays = asyncio.create_task(store.fence.desired()), asyncio.create_task(store.fence.desired())
    while not store.reads:
        await asyncio.sleep(0)
    gone.cancel()
    store.gate.set()

    assert await asyncio.wait_for(stays, DEADLINE) == Fleet()
    assert store.reads == 1


async def test_without_the_store_an_old_state_is_not_used() -> None:
    store = Store()
    await store.fence.desired()
    store.is_away = True
    store.time += FRESH_SECONDS + 0.01
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.fence.desired()
    store.is_away = False
    assert await store.fence.desired() == Fleet()


async def test_run_keeps_the_state_fresh() -> None:
    store = Store()
    store.is_away = True
    running = asyncio.create_task(store.fence.run())
    async with asyncio.timeout(DEADLINE):
        while store.reads < 2:
            await asyncio.sleep(0.01)
        store.is_away = False
        while store.reads < 4:
            await asyncio.sleep(0.01)
    reads = store.reads
    await store.fence.desired()
    assert store.reads == reads
    running.cancel()
    await asyncio.wait([running])
