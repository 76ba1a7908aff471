"""A few reads run at a time, others wait for a moment."""

import asyncio

import pytest

from api_server.domain.errors import ReadsOverloaded
from api_server.services.read_room import ReadRoom


async def hold(room: ReadRoom, release: asyncio.Event) -> str:
    async with room.place():
        await release.wait()
        return "read"


async def test_a_read_without_a_place_in_time_is_refused() -> None:
    room, release = ReadRoom(2, wait_seconds=0.01), asyncio.Event()
    running = [asyncio.create_task(hold(room, release)) for _ in range(2)]
    await asyncio.sleep(0)
    assert room.is_full

    with pytest.raises(ReadsOverloaded) as caught:
        await hold(room, release)

    assert (caught.value.reason, caught.value.retry_delay) == ("OVERLOADED", 1.0)
    release.set()
    assert await asyncio.gather(*running) == ["read", "read"]
    assert not room.is_full


async def test_reads_that_wait_run_in_order_when_places_are_free() -> None:
    room, done = ReadRoom(1, wait_seconds=60), list[int]()

    async def read(number: int) -> None:
        async with room.place():
            await asyncio.sleep(0)
            done.append(number)

    await asyncio.gather(*(read(number) for number in range(5)))

    assert done == [0, 1, 2, 3, 4]


async def test_a_caller_that_leaves_gives_its_place_back() -> None:
    room = ReadRoom(1, wait_seconds=60)
    for _ in range(3):
        leaving = asyncio.create_task(hold(room, asyncio.Event()))
        waiting = asyncio.create_task(hold(room, asyncio.Event()))
        await asyncio.sleep(0)
        waiting.cancel()
        leaving.cancel()
        await asyncio.wait([leaving, waiting])

    assert not room.is_full
