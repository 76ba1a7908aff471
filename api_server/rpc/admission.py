"""Bounds the requests that wait to be stored."""

from collections.abc import Iterator
from contextlib import contextmanager

from api_server.domain.errors import Overloaded

MAX_BYTES = 64 * 1024 * 1024
"""Bytes of requests as protobuf. Python's objects for them take a few times as much memory."""


class Admission:
    """Admits requests of `max_bytes` together, or one larger request alone."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._admitted = 0

    @contextmanager
    def admit(self, size: int) -> Iterator[int]:
        """Count a request of `size` bytes inside the block, which gets `size` back. Raises Overloaded if it
        does not fit.
        """
        if self._admitted and self._admitted + size > self._max_bytes:
            raise Overloaded
        self._admitted += size
        try:
            yield size
        finally:
            self._admitted -= size
