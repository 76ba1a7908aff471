"""Bytes in hand are bounded; whoever comes beyond waits for its turn."""

import asyncio

import pytest

from service_runtime.byte_room import ByteRoom


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_comes_beyond_waits_until_there_is_room() -> None:
    room = ByteRoom(100)
    await room.take(60)
    await room.take(40)
    waits = asyncio.create_task(room.take(30))
    await turns()
    assert not waits.done()

    room.give_back(30)
    await turns()
    assert waits.done()


async def test_nobody_passes_one_who_waits() -> None:
    room = ByteRoom(100)
    await room.take(60)
    large, small = asyncio.create_task(room.take(90)), asyncio.create_task(room.take(1))
    await turns()
    assert not large.done()
    assert not small.done()

    room.give_back(60)
    await turns()
    assert large.done()
    assert small.done()


async def test_what_is_larger_than_all_room_is_in_hand_alone() -> None:
    room = ByteRoom(100)
    await room.take(101)
    waits = asyncio.create_task(room.take(1))
    await turns()
    assert not waits.done()

    room.give_back(101)
    await turns()
    assert waits.done()


@pytest.mark.parametrize("is_served", [False, True])
async def test_one_who_is_cancelled_keeps_nothing_and_holds_up_nobody(is_served: bool) -> None:
    room = ByteRoom(100)
    await room.take(100)
    gone, waits = asyncio.create_task(room.take(100)), asyncio.create_task(room.take(100))
    await turns()
    if is_served:
        room.give_back(100)
        gone.cancel()
    else:
        gone.cancel()
        await turns()
        room.give_back(100)
    await turns()
    assert gone.cancelled()
    assert waits.done()
