"""The database's time between two questions."""

from datetime import UTC, datetime, timedelta

import pytest

from api_server.adapters.mongo_clock import SLOW_SECONDS, MongoClock

START = datetime(2026, 1, 1, tzinfo=UTC)


class Machine:
    """A database's clock and this process's; an answer takes `delay` seconds, half of it each way."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.shift = timedelta(0)
        self.delay = 0.0

    def monotonic(self) -> float:
        return self.seconds

    async def read_time(self) -> datetime:
        self.seconds += self.delay / 2
        answer = START + self.shift + timedelta(seconds=self.seconds - 100)
        self.seconds += self.delay / 2
        return answer


def clock_of(machine: Machine) -> MongoClock:
    return MongoClock(machine.read_time, machine.monotonic)


async def test_time_goes_on_between_answers() -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    machine.seconds += 1.2345
    assert clock.now() == START + timedelta(milliseconds=1234)


async def test_half_of_the_way_there_and_back_is_added() -> None:
    machine = Machine()
    machine.delay = 0.2
    clock = clock_of(machine)
    await clock.refresh()
    assert clock.now() == START + timedelta(milliseconds=200)


async def test_time_never_goes_backwards() -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    before = clock.now()
    machine.shift = timedelta(seconds=-5)
    await clock.refresh()
    assert clock.now() == before
    machine.seconds += 6
    assert clock.now() == before + timedelta(seconds=1)


async def test_slow_answer_does_not_replace_a_better_one() -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    machine.delay, machine.shift = SLOW_SECONDS * 2, timedelta(hours=1)
    await clock.refresh()
    assert clock.now() == START + timedelta(seconds=SLOW_SECONDS * 2)


def test_clock_that_was_not_started_says_so() -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        clock_of(Machine()).now()
