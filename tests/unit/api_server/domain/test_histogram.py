"""Histograms of durations: quantiles are at most 19 % too long, whatever the durations."""

import math
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.histogram import LAST_BUCKET, Histogram, add_to, bucket_of, longest_in, quantile

MILLISECOND = timedelta(milliseconds=1)
STEP = 2**0.25
DURATIONS = st.timedeltas(timedelta(0), timedelta(days=30))


def histogram_of(durations: list[timedelta]) -> Histogram:
    histogram: Histogram = {}
    for duration in durations:
        add_to(histogram, {bucket_of(duration): 1})
    return histogram


@given(DURATIONS)
def test_a_duration_is_in_the_bucket_that_it_fits_into(duration: timedelta) -> None:
    bucket = bucket_of(duration)
    rounding = timedelta(microseconds=1)
    assert 0 <= bucket <= LAST_BUCKET
    assert duration <= longest_in(bucket) * (1 + 1e-9) + rounding
    assert bucket == 0 or duration >= longest_in(bucket - 1) * (1 - 1e-9) - rounding


def test_the_first_and_the_last_bucket_hold_all_that_is_beyond() -> None:
    assert [bucket_of(each * MILLISECOND) for each in (-5, 0, 0.5, 1, 1.01, 2, 2.01)] == [0, 0, 0, 0, 1, 4, 5]
    assert bucket_of(timedelta(days=10_000)) == LAST_BUCKET


@given(st.lists(DURATIONS, min_size=1), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_too_long_by_one_bucket_at_most(durations: list[timedelta], share: float) -> None:
    exact = sorted(durations)[max(math.ceil(share * len(durations) - 1e-9) - 1, 0)]
    found = quantile(histogram_of(durations), share)
    assert found is not None
    assert found >= exact - timedelta(microseconds=1)
    assert found <= max(exact * STEP, MILLISECOND) * (1 + 1e-9) + timedelta(microseconds=1)


def test_nothing_has_no_quantile() -> None:
    assert quantile({}, 0.5) is None


@given(st.lists(DURATIONS), st.lists(DURATIONS))
def test_the_sum_of_histograms_is_that_of_all_durations(one: list[timedelta], other: list[timedelta]) -> None:
    total = histogram_of(one)
    add_to(total, histogram_of(other))
    assert total == histogram_of([*one, *other])
