"""Finds a field that occurs in the bytes of a message twice, although it is not a repeated field.

Protobuf merges such fields, or the last one wins. A REST client does not expect that: a JSON body with two
payloads would create a job with a mixture of both.
"""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from service_runtime.wire_fields import top_level_fields


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
