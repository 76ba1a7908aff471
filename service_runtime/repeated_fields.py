"""Finds a field that occurs in the bytes of a message twice, although it is not a repeated field.

Protobuf merges such fields, or the last one wins. A REST client does not expect that: a JSON body with two
payloads would create a job with a mixture of both.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_SIZES = {FIXED_64: 8, FIXED_32: 4}


def repeated_field(raw: bytes, message: Message) -> str:
    """The path of the first such field, for example `requests[3].payload`; "" if there is none.

    `raw` are the bytes that `message` was decoded from, so they are valid. Maps and the types of
    google.protobuf are not searched: the gateway refuses a JSON object with a duplicate key in them.
    """
    # A merged or dropped field makes the message shorter than its bytes, so other messages need no search.
    if message.ByteSize() >= len(raw):
        return ""
    return _repeated_in(memoryview(raw), message.DESCRIPTOR)


def list_field(descriptor: Any, name: str) -> str:
    """The repeated field of a message that takes several values of its field `name`; "" if there is none."""
    plurals = (f"{name}s", f"{name}es")
    return next((each.name for each in descriptor.fields if each.is_repeated and each.name in plurals), "")


def _repeated_in(raw: memoryview, descriptor: Any) -> str:
    counts: dict[int, int] = {}
    for number, content, _ in top_level_fields(raw):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            continue
        count = counts[number] = counts.get(number, 0) + 1
        if not field.is_repeated and count > 1:
            return str(field.name)
        inner = _repeated_in(content, field.message_type) if content and _is_ours(field) else ""
        if inner:
            return f"{field.name}[{count - 1}].{inner}" if field.is_repeated else f"{field.name}.{inner}"
    return ""


def _is_ours(field: FieldDescriptor) -> bool:
    """Whether the field is a message of the contract."""
    inner = field.message_type
    if inner is None:
        return False
    return not inner.GetOptions().map_entry and inner.file.package != "google.protobuf"


def top_level_fields(raw: bytes | memoryview) -> Iterator[tuple[int, memoryview | None, memoryview]]:
    """Number, content and all bytes of each field. The content is None unless it is length-delimited.

    `raw` must be a valid message.
    """
    raw = memoryview(raw)
    at = 0
    while at < len(raw):
        begin = at
        key, at = _varint(raw, at)
        number, wire_type = key >> 3, key & 7
        content = None
        if wire_type == LENGTH_DELIMITED:
            size, at = _varint(raw, at)
            content = raw[at : at + size]
            at += size
        elif wire_type == VARINT:
            _, at = _varint(raw, at)
        elif wire_type in FIXED_SIZES:
            at += FIXED_SIZES[wire_type]
        else:
            # A group. The contract has none, so it is an unknown field.
            return
        yield number, content, raw[begin:at]


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """The number that starts at `at`, and the position after it."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
