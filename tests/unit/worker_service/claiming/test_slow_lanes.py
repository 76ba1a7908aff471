"""The log warns, once a minute, of a lane whose jobs wait long for a slot."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.claiming.backlog import WaitingRecord
from worker_service.claiming.lanes import Lane
from worker_service.claiming.slow_lanes import AGAIN_SECONDS, LONG_SECONDS, watch_waits
from worker_service.kafka.offsets import Partition, Ticket


class World:
    """A lane with two slots, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lane = Lane(2, on_work=lambda: None, on_full_change=lambda: None, clock=lambda: self.now)
        self.watching = asyncio.create_task(watch_waits({"process": self.lane}, lambda: self.now, tick=0.0))

    def add(self, losses: int = 0) -> None:
        record = DispatchRecord(id="a", type="x", losses=losses)
        self.lane.add(WaitingRecord(record, Ticket(Partition("jobs.x", 0), 0, 0), size=1))

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    await asyncio.sleep(0)
    yield world
    assert not world.watching.done()
    world.watching.cancel()


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    with capture_logs() as logs:
        yield logs


def fill(lane: Lane) -> None:
    while lane.capacity:
        lane.hold()


async def test_a_long_wait_for_a_slot_is_logged_once_a_minute(world: World, logs: list[EventDict]) -> None:
    fill(world.lane)
    world.add()
    await world.pass_time(LONG_SECONDS)
    assert logs == []
    await world.pass_time(1)
    assert [(line["event"], line["lane"], line["slots"]) for line in logs] == [
        ("jobs_wait_for_a_slot", "process", 2)
    ]
    await world.pass_time(AGAIN_SECONDS - 1)
    assert len(logs) == 1
    await world.pass_time(1)
    assert len(logs) == 2


async def test_nothing_is_logged_while_each_of_many_waiting_jobs_has_its_turn_soon(
    world: World, logs: list[EventDict]
) -> None:
    fill(world.lane)
    for _ in range(5):
        world.add()
    for _ in range(100):
        world.add()
        await world.pass_time(1)
        world.lane.take()

    assert logs == []


@pytest.mark.parametrize(("full", "losses"), [(False, 0), (True, 2)])
async def test_a_wait_for_anything_but_a_slot_is_not_logged(
    world: World, logs: list[EventDict], full: bool, losses: int
) -> None:
    if full:
        fill(world.lane)
    world.add(losses)
    await world.pass_time(3 * LONG_SECONDS)

    assert logs == []


async def test_a_wait_of_shut_out_types_is_not_logged(world: World, logs: list[EventDict]) -> None:
    fill(world.lane)
    world.add()
    world.lane.shut_out({"x"})
    await world.pass_time(3 * LONG_SECONDS)

    assert logs == []
