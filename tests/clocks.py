"""Clocks that a test moves by hand."""

from dataclasses import dataclass


@dataclass
class MonotonicClock:
    """In place of `time.monotonic`. A test adds to `now`, in seconds."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now
