"""Medians, percentiles and spread. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """What several measurements of the same thing came to."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Raises StatisticsError for no values."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least `share` (0 to 1) of them do not exceed. Raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def weighted_median(sizes: Sequence[int]) -> int:
    """The size of the batch in which the median item stands. Raises ValueError for none."""
    if not sizes:
        raise ValueError("no sizes")
    ordered = sorted(sizes)
    half, so_far = sum(ordered) / 2, 0
    for size in ordered:
        so_far += size
        if so_far >= half:
            break
    return size
