"""Calls are cancelled when their time is up, each by its own, and told from calls that are cancelled by others."""

import asyncio

from service_runtime.deadlines import Deadlines

LONG = 60.0


async def call(deadlines: Deadlines, seconds: float) -> str:
    task = asyncio.current_task()
    assert task is not None
    deadlines.begin(task)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if deadlines.end(task):
            await asyncio.sleep(0)  # it goes on: no cancellation is pending
            return "its time was up"
        raise
    finally:
        deadlines.end(task)
    return "answered"


async def test_a_call_whose_time_is_up_is_cancelled_and_goes_on() -> None:
    assert await asyncio.wait_for(call(Deadlines(0.05), LONG), LONG) == "its time was up"


async def test_each_call_has_its_own_time() -> None:
    deadlines = Deadlines(0.2)
    started = asyncio.get_running_loop().time()
    calls = []
    for _ in range(5):
        calls.append(asyncio.create_task(call(deadlines, LONG)))
        await asyncio.sleep(0.05)
    quick = asyncio.create_task(call(deadlines, 0.01))
    ended = []
    for each in calls:
        assert await each == "its time was up"
        ended.append(asyncio.get_running_loop().time() - started)
    assert await quick == "answered"
    assert ended == sorted(ended)
    assert all(time >= 0.2 + 0.05 * index for index, time in enumerate(ended))


async def test_a_call_that_somebody_else_cancels_is_cancelled() -> None:
    waiting = asyncio.create_task(call(Deadlines(LONG), LONG))
    await asyncio.sleep(0)
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)


async def test_a_call_that_is_cancelled_by_both_is_cancelled() -> None:
    waiting = asyncio.create_task(call(deadlines := Deadlines(LONG), LONG))
    await asyncio.sleep(0)
    deadlines._running[waiting] = 0.0
    deadlines._cancel_overdue()
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)


async def test_nothing_is_left_of_calls_that_have_ended() -> None:
    deadlines = Deadlines(0.05)
    ended = await asyncio.gather(call(deadlines, 0.0), call(deadlines, LONG))
    assert list(ended) == ["answered", "its time was up"]
    assert not deadlines._running
    assert not deadlines._cancelled
