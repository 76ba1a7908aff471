"""Histograms of durations with logarithmic buckets: small, of fixed size, and easy to add. Pure.

Bucket n holds durations of up to 2^(n/4) ms, so a quantile is at most 19 % too long.
"""

import math
from collections.abc import Mapping
from datetime import timedelta

BUCKETS_A_DOUBLING = 4
LAST_BUCKET = 128
"""Holds all that is longer than 40 days, too."""

Histogram = dict[int, float]
"""The weight of each bucket that is not empty. A duration of a sample stands for several."""


def bucket_of(duration: timedelta) -> int:
    milliseconds = duration / timedelta(milliseconds=1)
    if milliseconds <= 1:
        return 0
    return min(math.ceil(BUCKETS_A_DOUBLING * math.log2(milliseconds)), LAST_BUCKET)


def longest_in(bucket: int) -> timedelta:
    """The longest duration of a bucket."""
    return timedelta(milliseconds=2 ** (bucket / BUCKETS_A_DOUBLING))


def add_to(histogram: Histogram, other: Mapping[int, float]) -> None:
    """Add the weights of another histogram."""
    for bucket, weight in other.items():
        histogram[bucket] = histogram.get(bucket, 0.0) + weight


def quantile(histogram: Mapping[int, float], share: float) -> timedelta | None:
    """The shortest duration that is not exceeded by `share` of all; None: there are none."""
    left = share * sum(histogram.values())
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        # Sums of weights are not exact.
        if left <= 1e-9:
            return longest_in(bucket)
    return longest_in(max(histogram)) if histogram else None
