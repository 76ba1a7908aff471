"""Counts the items of lists in the bytes of a message, before protobuf makes an object of each.

An empty item has two bytes on the wire and takes more than a hundred in memory. Only lists of messages are
counted: the items of other lists stay small. Pure.
"""

from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from contract_runtime.errors import Violation
from job_client._gen.jobs._validate import validate_pb2
from service_runtime.wire_fields import top_level_fields

MAX_FIELDS = 50_000
"""Fields that are looked at. No valid request has as many, and so the count takes little time."""


class MessageField(NamedTuple):
    """A field whose content is a list with a limit, or has such a list inside."""

    name: str
    is_repeated: bool
    max_items: int | None
    inner: "MessageFields"


MessageFields = dict[int, MessageField]
"""The fields of a message that are looked at, by their numbers."""


@cache
def counted_fields(descriptor: Descriptor) -> MessageFields:
    """The fields of a message of the contract that have to be looked at. The contract has no recursion."""
    found = {}
    for field in descriptor.fields:
        if not _is_of_contract(field, descriptor):
            continue
        inner = counted_fields(field.message_type)
        limit = max_items(field) if field.is_repeated else None
        if limit or inner:
            found[field.number] = MessageField(field.name, field.is_repeated, limit, inner)
    return found


def max_items(field: FieldDescriptor) -> int | None:
    """The rule of a list or a map about its length, if it has one."""
    rules: Any = field.GetOptions().Extensions[validate_pb2.field]
    return rules.map.max_pairs or rules.repeated.max_items or None


def too_many_items(raw: bytes, fields: MessageFields) -> Violation | None:
    """The first list that has more items than its rule allows. None if there is none.

    `fields`: see counted_fields. Ends at the first byte that is not valid: the decoder refuses the message.
    """
    return _Count().search(memoryview(raw), fields, "") if fields else None


class _Count:
    """Counts in one message, which protobuf may have to merge from several pieces."""

    def __init__(self) -> None:
        self._items: dict[str, int] = {}
        """The items of each list by its path."""
        self._fields_left = MAX_FIELDS

    def search(self, raw: memoryview, fields: MessageFields, path: str) -> Violation | None:
        for number, content, _ in top_level_fields(raw):
            self._fields_left -= 1
            if self._fields_left < 0:
                return Violation("", "request.max_fields", "the request has too many fields")
            field = fields.get(number)
            if field is None or content is None:
                continue
            here = f"{path}{field.name}"
            if field.is_repeated:
                count = self._items[here] = self._items.get(here, 0) + 1
                if field.max_items is not None and count > field.max_items:
                    rule = f"must have at most {field.max_items} items, has more"
                    return Violation(here, "max_items", rule)
                here += f"[{count - 1}]"
            if field.inner and (found := self.search(content, field.inner, f"{here}.")):
                return found
        return None


def _is_of_contract(field: FieldDescriptor, descriptor: Descriptor) -> bool:
    inner = field.message_type
    if inner is None or inner.GetOptions().map_entry:
        return False
    return bool(inner.file.package == descriptor.file.package)
