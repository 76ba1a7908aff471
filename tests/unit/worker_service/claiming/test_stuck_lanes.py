"""The worker ends when handlers that never end occupy all slots of a lane."""

import asyncio

import pytest

from tests.clocks import MonotonicClock
from worker_service.claiming.lanes import Lane
from worker_service.claiming.stuck_lanes import HOPELESS_SECONDS, LaneStuck, watch_lanes
from worker_service.execution.slot import Slot


def lane(limit: int) -> Lane:
    return Lane(limit, on_work=lambda: None, on_full_change=lambda: None)


async def leave_behind(lane: Lane) -> asyncio.Future[None]:
    """Abandon a handler that goes on until the future is done."""
    going_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with Slot(lane) as slot:
        slot.keep_until(going_on)
    return going_on


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)


async def test_a_lane_is_stuck_when_abandoned_handlers_occupy_all_its_slots() -> None:
    narrow = lane(2)
    first = await leave_behind(narrow)
    assert not narrow.is_stuck
    await leave_behind(narrow)
    assert narrow.is_stuck
    assert narrow.capacity == 0
    first.set_result(None)
    await turns()
    assert not narrow.is_stuck
    assert narrow.capacity == 1
    await leave_behind(narrow)
    assert narrow.is_stuck


async def test_the_worker_ends_when_a_lane_has_been_stuck_for_long() -> None:
    clock, lanes = MonotonicClock(), {"thread": lane(1), "loop": lane(1)}
    watching = asyncio.create_task(watch_lanes(lanes, clock, tick=0.001))
    clock.now += 100.0
    await turns()
    await leave_behind(lanes["thread"])
    await turns()
    clock.now += HOPELESS_SECONDS - 0.1
    await turns()
    assert not watching.done()
    clock.now += 0.1
    with pytest.raises(LaneStuck, match="thread lane"):
        await asyncio.wait_for(watching, 5)


async def test_a_lane_that_recovers_in_time_begins_anew() -> None:
    clock, lanes = MonotonicClock(), {"thread": lane(1)}
    watching = asyncio.create_task(watch_lanes(lanes, clock, tick=0.001))
    going_on = await leave_behind(lanes["thread"])
    await turns()
    clock.now += HOPELESS_SECONDS - 0.1
    going_on.set_result(None)
    await turns()
    await leave_behind(lanes["thread"])
    await turns()
    clock.now += HOPELESS_SECONDS - 0.1
    await turns()
    assert not watching.done()
    watching.cancel()
