"""Walks over the fields of a message in protobuf's wire format, without decoding it. Pure.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Iterator

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_SIZES = {FIXED_64: 8, FIXED_32: 4}
GROUPS = (3, 4)
"""Begin and end of a group. The contract has none, and protobuf skips unknown ones. Here the fields in it
count as fields of the message: so no item that protobuf decodes is overlooked.
"""
MAX_VARINT = 10
"""Bytes of the longest number on the wire."""


def top_level_fields(raw: bytes | memoryview) -> Iterator[tuple[int, memoryview | None, memoryview]]:
    """Number, content and all bytes of each field. The content is None unless it is length-delimited.

    Ends at the first byte that is not valid.
    """
    raw = memoryview(raw)
    at, end = 0, len(raw)
    while at < end:
        begin = at
        key, at = _varint(raw, at)
        number, wire_type, content = key >> 3, key & 7, None
        if wire_type == LENGTH_DELIMITED:
            size, at = _varint(raw, at)
            if size < 0 or at + size > end:
                return
            content = raw[at : at + size]
            at += size
        elif wire_type == VARINT:
            _, at = _varint(raw, at)
        elif wire_type in FIXED_SIZES:
            at += FIXED_SIZES[wire_type]
        elif wire_type not in GROUPS:
            return
        if number < 1:
            return
        yield number, content, raw[begin:at]


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at `at`, and the position after it. (-1, the end) if there is none."""
    value = shift = 0
    for position in range(at, min(at + MAX_VARINT, len(raw))):
        byte = raw[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    return -1, len(raw)
