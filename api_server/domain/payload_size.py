"""How large a payload is on its way to a worker.

A payload's size is measured exactly once, when its request comes in (api_server/rpc/requests.py), and travels
with the job: it bounds the batches and the queue, and decides whether the payload goes into the record. A job
that is read from the store has no such number, so where the size matters it is estimated. These sizes are
other numbers, on purpose:
- Admission counts whole requests, which hold labels and other fields too.
- The store bounds its statements by BSON bytes, which differ from protobuf's, and has them from encoding.
- A Kafka record is checked again once it is built: until then, the payload of a read job is only estimated.
"""

from collections.abc import Mapping
from typing import Any

MAX_TRAVELLING_BYTES = 128 * 1024
"""Larger payloads, in protobuf bytes, are left out of the record. The worker asks the API server for them."""


def size_or_least(measured: int | None, data: Mapping[str, Any]) -> int:
    """The measured size; None: not measured, so an estimate, see `least_bytes`."""
    return least_bytes(data) if measured is None else measured


def least_bytes(data: Mapping[str, Any], enough: int = MAX_TRAVELLING_BYTES + 1) -> int:
    """A lower bound of the size as protobuf. Counting stops soon after `enough`, so that the cost is bounded.

    It leaves out the length prefixes of long parts, and the extra bytes of text that is not ASCII.
    """
    size = 0
    parts: list[Any] = [data]
    while parts and size < enough:
        part = parts.pop()
        # The most frequent kinds come first.
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
