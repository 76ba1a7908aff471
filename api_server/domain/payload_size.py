"""The size of a payload in a message to workers."""

from collections.abc import Mapping
from typing import Any

MAX_TRAVELLING_BYTES = 128 * 1024
"""Larger payloads (protobuf bytes) are not sent: the worker reads them from the API server."""


def least_bytes(payload: Mapping[str, Any], enough: int = MAX_TRAVELLING_BYTES + 1) -> int:
    """A lower bound for the size of `payload` in protobuf bytes.

    Counting stops soon after `enough`, so that the cost is bounded. The bound ignores the length prefixes of
    long parts and the additional bytes of text that is not ASCII.
    """
    size = 0
    parts: list[Any] = [payload]
    while parts and size < enough:
        part = parts.pop()
        # The most common types first: this runs several times for each job.
        if isinstance(part, str):
            size += 2 + len(part)
        elif isinstance(part, dict):
            size += 6 * len(part) + sum(map(len, part))
            parts.extend(part.values())
        elif part is None or isinstance(part, bool):
            size += 2
        elif isinstance(part, int | float):
            size += 9
        else:
            size += 2 * len(part)
            parts.extend(part)
    return size
