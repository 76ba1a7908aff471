"""Medians, percentiles and spread. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median, the lowest and the highest of several measurements."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Raises StatisticsError if there are no values."""
    ordered = sorted(values)
    return Spread(statistics.median(ordered), ordered[0], ordered[-1])


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed.

    Raises ValueError if there are no values.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def weighted_median(sizes: Sequence[int]) -> int:
    """The size of the median item's batch. Raises ValueError if there are no sizes."""
    if not sizes:
        raise ValueError("no sizes")
    ordered = sorted(sizes)
    half, so_far = sum(ordered) / 2, 0
    for size in ordered:
        so_far += size
        if so_far >= half:
            break
    return size
