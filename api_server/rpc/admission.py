"""How much may wait to be stored."""

from collections.abc import Iterator
from contextlib import contextmanager

from api_server.domain.errors import Overloaded

MAX_BYTES = 64 * 1024 * 1024
"""Of requests, as protobuf; Python's own objects take a few times that."""


class Admission:
    """Holds requests of so many bytes together, or a larger one alone."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._taken = 0

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """A request of `size` bytes is in hand inside. Raises Overloaded if it does not fit."""
        if self._taken and self._taken + size > self._max_bytes:
            raise Overloaded
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size
