"""When a failed job is tried again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.retry import (
    DEFAULT_POLICY,
    FailureHint,
    RetryPolicy,
    Tries,
    backoff,
    wait_before_next_try,
)

SECOND = timedelta(seconds=1)
WEEK = timedelta(days=7)
ROUNDING = timedelta(microseconds=1)
NO_HINT = FailureHint()
WAITS = st.timedeltas(timedelta(0), WEEK)
CHANCES = st.floats(0, 1)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 100),
    initial_backoff=WAITS,
    max_backoff=WAITS,
    multiplier=st.floats(1, 100),
    jitter=st.floats(0, 1),
)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (11, 300), (10**9, 300)]
)
def test_the_wait_doubles_up_to_five_minutes_by_default(failures: int, seconds: float) -> None:
    assert backoff(DEFAULT_POLICY, failures, 0.5) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("chance", "factor"), [(0, 0.8), (0.25, 0.9), (1, 1.2)])
def test_the_wait_is_spread_by_a_fifth_either_way(chance: float, factor: float) -> None:
    assert backoff(DEFAULT_POLICY, 2, chance) == 2 * SECOND * factor


def test_max_backoff_limits_the_first_wait_too() -> None:
    policy = RetryPolicy(initial_backoff=10 * SECOND, max_backoff=3 * SECOND, jitter=0)
    assert [backoff(policy, n, 0.5) for n in (1, 2, 3)] == [3 * SECOND] * 3


def test_an_initial_backoff_of_zero_stays_zero() -> None:
    assert backoff(RetryPolicy(initial_backoff=timedelta(0)), 50, 1) == timedelta(0)
    assert backoff(RetryPolicy(max_backoff=timedelta(0)), 50, 1) == timedelta(0)


@given(POLICIES, st.integers(1, 10**9), CHANCES)
def test_every_wait_lies_within_the_jitter_of_the_longest(
    policy: RetryPolicy, failures: int, chance: float
) -> None:
    wait = backoff(policy, failures, chance)
    first = min(policy.initial_backoff, policy.max_backoff)
    assert (
        first * (1 - policy.jitter) - ROUNDING <= wait <= policy.max_backoff * (1 + policy.jitter) + ROUNDING
    )


@given(POLICIES, st.integers(1, 200), CHANCES)
def test_no_wait_is_shorter_than_the_one_before(policy: RetryPolicy, failures: int, chance: float) -> None:
    assert backoff(policy, failures, chance) <= backoff(policy, failures + 1, chance) + ROUNDING


@given(POLICIES, st.integers(1, 12), CHANCES)
def test_the_wait_follows_the_formula_of_the_contract(
    policy: RetryPolicy, failures: int, chance: float
) -> None:
    seconds = min(
        policy.max_backoff.total_seconds(),
        policy.initial_backoff.total_seconds() * policy.multiplier ** (failures - 1),
    )
    expected = seconds * (1 - policy.jitter + 2 * policy.jitter * chance)
    assert backoff(policy, failures, chance).total_seconds() == pytest.approx(expected, rel=1e-6, abs=1e-4)


@given(POLICIES, WAITS | st.none(), CHANCES)
def test_a_job_is_tried_exactly_max_attempts_times(
    policy: RetryPolicy, retry_after: timedelta | None, chance: float
) -> None:
    hint = FailureHint(retry_after=retry_after)
    for failures in range(policy.max_attempts - 1):
        wait = wait_before_next_try(Tries(failures, policy), hint, chance)
        assert wait == (backoff(policy, failures + 1, chance) if retry_after is None else retry_after)
    assert wait_before_next_try(Tries(policy.max_attempts - 1, policy), hint, chance) is None


@pytest.mark.parametrize("retry_after", [None, SECOND])
def test_a_permanent_failure_is_the_last_one(retry_after: timedelta | None) -> None:
    assert wait_before_next_try(Tries(), FailureHint(permanent=True, retry_after=retry_after), 0.5) is None
    assert wait_before_next_try(Tries(), NO_HINT, 0.5) == SECOND
