"""Each call is cancelled at its own deadline. That differs from a cancellation by others."""

import asyncio

from service_runtime.deadlines import Deadlines, untimed

LONG = 60.0


async def call(deadlines: Deadlines, seconds: float) -> str:
    task = asyncio.current_task()
    assert task is not None
    deadlines.begin(task)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        if deadlines.end(task):
            await asyncio.sleep(0)  # raises if a cancellation is pending
            return "its time was up"
        raise
    finally:
        deadlines.end(task)
    return "answered"


async def test_a_call_is_cancelled_at_its_deadline_and_can_go_on() -> None:
    assert await asyncio.wait_for(call(Deadlines(0.05), LONG), LONG) == "its time was up"


async def test_each_call_has_its_own_deadline() -> None:
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


async def test_a_cancellation_by_others_is_not_undone() -> None:
    waiting = asyncio.create_task(call(Deadlines(LONG), LONG))
    await asyncio.sleep(0)
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)


async def test_a_cancellation_by_the_deadline_and_by_others_is_not_undone() -> None:
    waiting = asyncio.create_task(call(deadlines := Deadlines(LONG), LONG))
    await asyncio.sleep(0)
    deadlines._running[waiting] = 0.0
    deadlines._cancel_overdue()
    waiting.cancel()
    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], asyncio.CancelledError)


async def test_calls_that_have_ended_leave_nothing_behind() -> None:
    deadlines = Deadlines(0.05)
    ended = await asyncio.gather(call(deadlines, 0.0), call(deadlines, LONG))
    assert list(ended) == ["answered", "its time was up"]
    assert not deadlines._running
    assert not deadlines._cancelled


async def waits(deadlines: Deadlines, *, seconds: float, before: float = 0.0, after: float = 0.0) -> str:
    """A call that waits for `seconds` because its caller wants that, and works before and after."""
    task = asyncio.current_task()
    assert task is not None
    deadlines.begin(task)
    try:
        await asyncio.sleep(before)
        with untimed():
            await asyncio.sleep(seconds)
        await asyncio.sleep(after)
    except asyncio.CancelledError:
        if deadlines.end(task):
            return "its time was up"
        raise
    finally:
        deadlines.end(task)
    return "answered"


async def test_a_wait_takes_no_time() -> None:
    assert await waits(Deadlines(0.3), seconds=0.6) == "answered"


async def test_a_call_has_its_whole_time_before_and_after_its_wait() -> None:
    deadlines, task = Deadlines(LONG), asyncio.current_task()
    assert task is not None
    deadlines.begin(task)
    before = deadlines._running[task]
    await asyncio.sleep(0.01)
    with untimed():
        assert not deadlines.times(task)
        await asyncio.sleep(0.01)
    assert deadlines._running[task] >= before + 0.02
    deadlines.end(task)

    assert await waits(Deadlines(LONG), before=0.01, seconds=0.01, after=0.01) == "answered"
    assert await waits(Deadlines(0.05), seconds=0.0, after=LONG) == "its time was up"
    assert await waits(Deadlines(0.05), before=LONG, seconds=0.0) == "its time was up"


async def test_a_call_without_a_deadline_may_wait_too() -> None:
    with untimed():
        await asyncio.sleep(0)


async def test_a_task_within_a_call_has_no_time_of_its_own() -> None:
    deadlines = Deadlines(0.05)
    task = asyncio.current_task()
    assert task is not None
    deadlines.begin(task)

    async def inner() -> None:
        with untimed():
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)

    part = asyncio.create_task(inner())
    deadlines.end(task)

    await part
