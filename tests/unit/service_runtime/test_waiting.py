"""A wait with a limit says whether the work ended, and cancels work that did not."""

import asyncio

import pytest

from service_runtime.waiting import ends_within


async def test_work_that_has_ended_counts_even_when_there_is_no_time_left() -> None:
    ready = asyncio.Event()
    ready.set()

    assert await ends_within(0, ready.wait())


async def test_work_that_does_not_end_in_time_is_cancelled() -> None:
    work = asyncio.ensure_future(asyncio.Event().wait())

    assert not await ends_within(0.01, work)
    assert work.cancelled()


async def test_an_error_of_the_work_is_raised() -> None:
    async def fail() -> None:
        raise ConnectionError("away")

    with pytest.raises(ConnectionError, match="away"):
        await ends_within(20, fail())
