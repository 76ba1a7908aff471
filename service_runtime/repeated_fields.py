"""Finds a field that stands in a message's bytes more often than its type allows.

Protobuf merges such fields, or lets the last one win. A REST client cannot know that: of a JSON body with two payloads it
would get a job with a mixture of both.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
FIXED_SIZES = {FIXED_64: 8, FIXED_32: 4}


def repeated_field(raw: bytes, message: Message) -> str:
    """The path of the first such field, as `requests[3].payload`; "" if there is none.

    `raw` are the bytes that `message` was decoded from. Maps and google.protobuf's own types are not looked into: the
    gateway refuses a JSON object in them that has a key twice.
    """
    # Whatever was merged or dropped makes the message shorter than its bytes. Others need no closer look.
    if message.ByteSize() >= len(raw):
        return ""
    return _repeated_in(memoryview(raw), message.DESCRIPTOR)


def _repeated_in(raw: memoryview, descriptor: Any) -> str:
    counts: dict[int, int] = {}
    for number, content in _fields(raw):
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
    """Whether it is a message of the contract's own."""
    inner = field.message_type
    if inner is None:
        return False
    return not inner.GetOptions().map_entry and inner.file.package != "google.protobuf"


def _fields(raw: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Number and, of length-delimited ones, content of each field in bytes that were decoded without an error."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == LENGTH_DELIMITED:
            size, at = _varint(raw, at)
            yield number, raw[at : at + size]
            at += size
        elif wire_type == VARINT:
            _, at = _varint(raw, at)
            yield number, None
        elif wire_type in FIXED_SIZES:
            at += FIXED_SIZES[wire_type]
            yield number, None
        else:
            # A group, which the contract has none of: an unknown field.
            return


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it has ended."""
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
