"""How long to wait before trying again."""

import random
from collections.abc import Callable


class Backoff:
    """Doubles from `first` up to `most` seconds, each wait cut by up to half at random, until `reset`."""

    def __init__(
        self, first: float = 0.1, most: float = 2.0, randomness: Callable[[], float] = random.random
    ) -> None:
        """`randomness` gives numbers from 0 up to 1."""
        self._first = first
        self._most = most
        self._randomness = randomness
        self._next = first

    def next(self) -> float:
        """Seconds to wait now."""
        wait = self._next * (1 - self._randomness() / 2)
        self._next = min(self._next * 2, self._most)
        return wait

    def reset(self) -> None:
        """Something worked: start small again."""
        self._next = self._first
