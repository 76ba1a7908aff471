"""The database's time between two answers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from api_server.adapters.mongo.clock import JUMP_SECONDS, QUICK_SECONDS, START_QUESTIONS, MongoClock
from api_server.adapters.mongo.time_bounds import DRIFT

START = datetime(2026, 1, 1, tzinfo=UTC)
A_MILLISECOND = timedelta(milliseconds=1)


class Machine:
    """The clock of a database and that of this process.

    A question takes `there` seconds, its answer `back` seconds.
    """

    def __init__(self) -> None:
        self.seconds = 100.0
        self.shift = timedelta(0)
        self.there = self.back = 0.0
        self.delays: list[tuple[float, float]] = []
        """For the next questions, instead of `there` and `back`."""

    def monotonic(self) -> float:
        return self.seconds

    @property
    def time(self) -> datetime:
        """The time that the database's clock shows."""
        return START + self.shift + timedelta(seconds=self.seconds - 100)

    async def read_time(self) -> datetime:
        there, back = self.delays.pop(0) if self.delays else (self.there, self.back)
        self.seconds += there
        shown = self.time.replace(microsecond=self.time.microsecond // 1000 * 1000)
        self.seconds += back
        return shown


def clock_of(machine: Machine) -> MongoClock:
    return MongoClock(machine.read_time, machine.monotonic)


async def test_time_goes_on_between_answers() -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    machine.seconds += 1.2345
    assert clock.now() == START + timedelta(milliseconds=1234)


@pytest.mark.parametrize("slow", [(1.9, 0.0), (0.95, 0.95), (0.0, 1.9)])
async def test_a_slow_first_answer_does_not_set_the_clock_ahead_and_is_replaced(
    slow: tuple[float, float],
) -> None:
    machine = Machine()
    machine.delays = [slow, (0.3, 0.3), (0.001, 0.001)]
    clock = clock_of(machine)
    await clock.start()
    await clock.stop()
    assert machine.time - timedelta(seconds=QUICK_SECONDS) <= clock.now() <= machine.time


async def test_a_database_that_always_answers_slowly_does_not_block_the_start() -> None:
    machine = Machine()
    machine.there = machine.back = QUICK_SECONDS
    clock = clock_of(machine)
    with capture_logs() as logs:
        await clock.start()
        await clock.stop()
    assert machine.seconds == pytest.approx(100 + START_QUESTIONS * 2 * QUICK_SECONDS)
    assert [entry["event"] for entry in logs] == ["clock_not_exact"]
    assert machine.time - timedelta(seconds=2 * QUICK_SECONDS) <= clock.now() <= machine.time


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2),
            st.floats(0, 2),
            st.floats(0, 20),
            st.floats(-DRIFT, DRIFT, allow_subnormal=False),
        ),
        min_size=1,
        max_size=20,
    )
)
async def test_the_clock_is_never_ahead_and_behind_by_at_most_the_shortest_round_trip(
    questions: list[tuple[float, float, float, float]],
) -> None:
    """For each question: its time there and back, the pause after it, and how fast the clocks drift apart."""
    machine = Machine()
    clock = clock_of(machine)
    behind = float("inf")
    for there, back, pause, drift in questions:
        machine.there, machine.back = there, back
        await clock.refresh()
        behind = min(behind, there + back)
        assert clock.now() <= machine.time
        assert machine.time - clock.now() <= timedelta(seconds=behind + 0.003)
        machine.seconds += pause
        machine.shift += timedelta(seconds=pause * drift)
        behind += 2 * DRIFT * (pause + there + back) + 0.005
    assert clock.steady_seconds() == pytest.approx(machine.seconds - 100 - sum(questions[0][:2]))


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


async def test_a_slow_answer_does_not_replace_a_better_one() -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    machine.there, machine.back = 0.0, 2.0
    await clock.refresh()
    assert machine.time - 3 * A_MILLISECOND <= clock.now() <= machine.time


# --- Jumps ---


@pytest.mark.parametrize("seconds", [16.0, 60.0, JUMP_SECONDS + 0.1])
@pytest.mark.parametrize("delay", [0.0, 0.04])
async def test_a_jump_ahead_is_followed_at_once_and_restarts_the_steady_time(
    seconds: float, delay: float
) -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    machine.seconds += 100
    assert clock.steady_seconds() == 100
    machine.shift, machine.there, machine.back = timedelta(seconds=seconds), delay / 2, delay / 2
    with capture_logs() as logs:
        await clock.refresh()
    assert machine.time - timedelta(seconds=delay + 0.002) <= clock.now() <= machine.time
    assert clock.steady_seconds() == 0
    assert [entry["event"] for entry in logs] == ["database_time_jumped"]
    assert logs[0]["seconds"] == pytest.approx(seconds, abs=0.15)
    machine.seconds += 3
    assert clock.steady_seconds() == 3


async def test_after_a_jump_back_the_time_is_steady_when_it_advances_again() -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    machine.seconds += 100
    clock.now()
    machine.shift = timedelta(seconds=-60)
    await clock.refresh()
    machine.seconds += 59
    await clock.refresh()
    assert clock.steady_seconds() == 0
    machine.seconds += 11
    assert clock.steady_seconds() == pytest.approx(10, abs=0.1)


async def test_ordinary_differences_between_clocks_are_no_jump() -> None:
    machine = Machine()
    clock = clock_of(machine)
    await clock.refresh()
    machine.seconds += 10
    machine.shift = timedelta(seconds=JUMP_SECONDS)
    await clock.refresh()
    assert clock.steady_seconds() == 10
    assert machine.time - 2 * A_MILLISECOND <= clock.now() <= machine.time


def test_a_clock_that_was_not_started_raises_an_error() -> None:
    with pytest.raises(RuntimeError, match="not been started"):
        clock_of(Machine()).now()
