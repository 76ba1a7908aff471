"""How long to wait before a call is sent again, and before a job is looked at again. Pure."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MOST_DOUBLINGS = 30
FIRST_STEP, LONGEST_STEP = 0.02, 1.28
"""Seconds between two looks at a job: at first, and at most. The second is a doubling of the first."""
LOOKS_A_SECOND = 2000
"""Of all waits of a client together, as long as none looks more seldom than every LONGEST_STEP for that."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: up to `first` seconds at random, then up to twice that, and so on up to `most`."""

    first: float = 0.05
    most: float = 2.0
    randomness: Callable[[], float] = random.random

    def wait(self, failures: int, least: float = 0.0) -> float:
        """Seconds after so many failures in a row (from 1 on). `least` is what the server asks for; it comes on top, so that
        those who were told the same do not come back together.
        """
        longest = min(self.most, self.first * 2.0 ** min(failures - 1, MOST_DOUBLINGS))
        return least + self.randomness() * longest


def next_look(waited: float, waits: int, now: float) -> float:
    """When to look again at a job that has been waited for for `waited` seconds, beside so many other waits: before a quarter as
    long again has passed, or later if the waits are many.

    Looks fall on the multiples of a few steps, so that many waits look at the same moments and their reads go together.
    """
    step = FIRST_STEP
    while step < LONGEST_STEP and (step * 2 <= waited / 4 or step < waits / LOOKS_A_SECOND):
        step *= 2
    return (math.floor(now / step) + 1) * step
