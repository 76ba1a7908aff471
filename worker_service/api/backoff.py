"""How long to wait before a call is repeated."""

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from `first` to `longest` seconds, each shortened by up to half at random, until
    `reset`.
    """

    def __init__(
        self, first: float = 0.1, longest: float = 2.0, randomness: Callable[[], float] = random.random
    ) -> None:
        """`randomness` returns numbers from 0 to 1."""
        self._first = first
        self._longest = longest
        self._randomness = randomness
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        wait = self._next * (1 - self._randomness() / 2)
        self._next = min(self._next * 2, self._longest)
        return wait

    def reset(self) -> None:
        """After a success: start again with `first`."""
        self._next = self._first
