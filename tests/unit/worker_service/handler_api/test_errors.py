"""The errors of the handler API: which arguments they accept, and that they can be pickled."""

import pickle
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service import InputError, PermanentError, RetryAfter
from worker_service.handler_api.errors import MAX_RETRY_AFTER


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        (0, 0),
        (1.5, 1.5),
        (True, 1),
        (Fraction(1, 2), 0.5),
        (timedelta(minutes=2), 120),
        (-1, 0),
        (float("-inf"), 0),
        (timedelta(days=-1), 0),
        (MAX_RETRY_AFTER - 1, MAX_RETRY_AFTER - 1),
        (MAX_RETRY_AFTER, MAX_RETRY_AFTER),
        (MAX_RETRY_AFTER + 1, MAX_RETRY_AFTER),
        (10**400, MAX_RETRY_AFTER),
        (float("inf"), MAX_RETRY_AFTER),
        (timedelta.max, MAX_RETRY_AFTER),
    ],
)
def test_a_delay_beyond_its_limits_counts_as_the_limit(delay: Any, seconds: float) -> None:
    assert RetryAfter(delay).delay == seconds


@given(st.floats(allow_nan=False) | st.integers() | st.fractions() | st.timedeltas())
def test_any_number_becomes_a_delay_valid_for_the_contract(delay: Any) -> None:
    assert 0 <= RetryAfter(delay).delay <= MAX_RETRY_AFTER


@pytest.mark.parametrize("delay", ["5", None, b"5", [5], 1j, Decimal(5)])
def test_a_delay_that_is_not_a_number_is_refused(delay: Any) -> None:
    with pytest.raises(TypeError, match="must be seconds or a timedelta, is a "):
        RetryAfter(delay)


def test_a_delay_that_is_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="is NaN"):
        RetryAfter(float("nan"))


@pytest.mark.parametrize(
    "error",
    [InputError("size", "is -1"), PermanentError("gone"), RetryAfter(90), RetryAfter(90, "busy")],
    ids=repr,
)
def test_an_error_is_unchanged_by_pickle(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - made by this test

    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
