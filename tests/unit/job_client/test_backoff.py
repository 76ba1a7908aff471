"""The waits before a call is repeated and before a job is read again."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_client.backoff import FIRST_POLL, LONGEST_POLL, POLLS_PER_SECOND, Backoff, next_poll


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 60))
def test_a_call_waits_as_long_as_the_server_asks_and_a_bounded_time_more(
    failures: int, chance: float, asked_for: float
) -> None:
    wait = Backoff(0.05, 2.0, lambda: chance).wait(failures, asked_for)
    assert asked_for <= wait <= asked_for + min(2.0, 0.05 * 2 ** min(failures - 1, 10))


def test_waits_double() -> None:
    backoff = Backoff(0.1, 1.0, lambda: 1.0)
    assert [backoff.wait(failures) for failures in range(1, 6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0])


@given(st.floats(0, 1e5), st.integers(1, 10_000), st.floats(0, 1e6))
def test_polls_come_soon_and_at_moments_that_all_waits_share(waited: float, waits: int, now: float) -> None:
    poll = next_poll(waited, waits, now)
    assert now < poll
    share = 2 * waits / POLLS_PER_SECOND
    assert poll - now <= max(FIRST_POLL, min(max(waited / 4, share), LONGEST_POLL)) * (1 + 1e-6)
    assert math.isclose(poll / FIRST_POLL, round(poll / FIRST_POLL), abs_tol=1e-3)


@pytest.mark.parametrize(("waits", "step"), [(40, 0.02), (41, 0.04), (1000, 0.64), (100_000, 1.28)])
def test_each_wait_polls_less_often_when_there_are_many(waits: int, step: float) -> None:
    assert next_poll(0, waits, 0) == pytest.approx(step)
