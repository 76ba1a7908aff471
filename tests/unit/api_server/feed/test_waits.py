"""What a waiting call is told, and when it is over."""

import asyncio
from uuid import UUID

import pytest

from api_server.domain.errors import TooManyWaits
from api_server.feed.demand import Demand
from api_server.feed.waits import Notice, Waits

JOB, OTHER = UUID(int=1), UUID(int=2)
LONG, NOW = 1e9, 0.0
"""Ends of a wait, by the event loop's time."""


async def test_all_waits_of_a_job_and_no_others_learn_that_it_has_ended() -> None:
    waits = Waits(9, Demand())
    with waits.on(JOB, LONG) as first, waits.on(JOB, LONG) as second, waits.on(OTHER, NOW) as other:
        waits.ended(JOB)

        assert [await first.notice(), await second.notice()] == [Notice.ENDED, Notice.ENDED]
        assert await other.notice() is Notice.OVER


async def test_a_wait_that_was_told_to_look_learns_of_a_later_end() -> None:
    waits = Waits(9, Demand())
    with waits.on(JOB, LONG) as wait:
        waits.look()
        assert await wait.notice() is Notice.LOOK

        waits.ended(JOB)
        assert await wait.notice() is Notice.ENDED


async def test_a_wait_whose_time_ends_while_it_looks_is_over() -> None:
    waits = Waits(9, Demand())
    with waits.on(JOB, NOW) as wait:
        waits.look()

        assert await wait.notice() is Notice.OVER


async def test_a_wait_ends_at_its_time() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with Waits(9, Demand()).on(JOB, begin + 0.02) as wait:
        assert await wait.notice() is Notice.OVER
    assert loop.time() >= begin + 0.02


async def test_when_the_server_stops_all_waits_are_over_later_ones_too() -> None:
    waits = Waits(9, Demand())
    with waits.on(JOB, LONG) as wait:
        waits.close()
        assert await wait.notice() is Notice.OVER
    with waits.on(JOB, LONG) as late:
        assert await late.notice() is Notice.OVER


async def test_changes_are_needed_exactly_while_there_is_a_wait() -> None:
    demand = Demand()
    waits = Waits(9, demand)
    assert not demand.is_there
    with waits.on(JOB, LONG):
        with waits.on(OTHER, LONG), waits.on(JOB, LONG):
            assert demand.is_there
        assert (demand.is_there, demand.is_for_all) == (True, False)
    assert not demand.is_there


async def test_nothing_is_kept_of_waits_that_have_ended() -> None:
    waits = Waits(9, Demand())
    with pytest.raises(ZeroDivisionError), waits.on(JOB, LONG):
        raise ZeroDivisionError

    assert not waits._waits
    waits.ended(JOB)
    waits.look()


def test_there_are_as_many_places_as_the_limit_says() -> None:
    waits = Waits(2, Demand())
    with waits.place():
        with waits.place(), pytest.raises(TooManyWaits, match="2 calls wait"), waits.place():
            pass
        with waits.place():
            pass
