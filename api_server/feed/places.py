"""How many calls may wait at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from contract_runtime.errors import ServiceError


class Places:
    """At most `limit` at a time. `full`: the error beyond that, made from the limit."""

    def __init__(self, limit: int, full: Callable[[int], ServiceError]) -> None:
        self._limit = limit
        self._full = full
        self._taken = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Have a place inside the block. Raises the error of `full`."""
        if self._taken >= self._limit:
            raise self._full(self._limit)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
