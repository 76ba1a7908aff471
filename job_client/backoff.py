"""How long to wait before a call is repeated, and before a job that is waited for is read again. Pure."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MAX_DOUBLINGS = 30
FIRST_POLL, LONGEST_POLL = 0.02, 1.28
"""Seconds between two reads of a job that is waited for: at first, and at most.

LONGEST_POLL is FIRST_POLL, doubled several times.
"""
POLLS_PER_SECOND = 2000
"""The maximum of reads per second for all waits of a client together, unless LONGEST_POLL demands more."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: a random time of up to `first` seconds, which doubles with each failure up to `most`."""

    first: float = 0.05
    most: float = 2.0
    randomness: Callable[[], float] = random.random

    def wait(self, failures: int, least: float = 0.0) -> float:
        """Seconds to wait after `failures` failures in a row, from 1 on.

        `least` is the delay that the server asked for. The random time is added to it, so that clients that
        got the same delay do not all come back at the same moment.
        """
        longest = min(self.most, self.first * 2.0 ** min(failures - 1, MAX_DOUBLINGS))
        return least + self.randomness() * longest


def next_poll(waited: float, waits: int, now: float) -> float:
    """When to read a job again that was waited for for `waited` seconds, while a client has `waits` waits.

    The next read comes before another quarter of `waited` is over, and later if there are many waits. Reads
    fall on the multiples of a few steps, so that many waits read at the same moments and share a call.
    """
    step = FIRST_POLL
    while step < LONGEST_POLL and (step * 2 <= waited / 4 or step < waits / POLLS_PER_SECOND):
        step *= 2
    return (math.floor(now / step) + 1) * step
