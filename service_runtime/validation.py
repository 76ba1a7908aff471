"""Checks messages against the rules in the contract."""

from collections.abc import Iterator
from functools import cache

import protovalidate
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from contract_runtime.errors import InvalidArgument, Violation
from service_runtime.item_counts import max_items

MAX_SHOWN_VALUE = 60
"""An error message shows this many characters of a wrong value."""
ALL_VIOLATIONS_BELOW = 16 * 1024
"""Up to this size in bytes all broken rules of a message are reported; above it the first, to save time."""


class ContractValidator:
    """Checks messages against their protovalidate rules. A type's first check compiles them (some ms)."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    def warm(self, *message_types: type[Message]) -> None:
        """Compile the rules of these types now instead of during a first call."""
        for message_type in message_types:
            self.collect(message_type())

    def check(self, message: Message) -> None:
        """Raise InvalidArgument, which names the rules that `message` breaks."""
        if violations := self.collect(message):
            raise InvalidArgument(violations)

    def collect(self, message: Message) -> list[Violation]:
        """The rules that `message` breaks. A list that is too long is reported alone, its items unchecked."""
        if too_long := list(_too_long(message, "")):
            return too_long
        fail_fast = message.ByteSize() > ALL_VIOLATIONS_BELOW
        return [_describe(each) for each in self._validator.collect_violations(message, fail_fast=fail_fast)]


def _too_long(message: Message, path: str) -> Iterator[Violation]:
    for field, limit in _limits(message.DESCRIPTOR).items():
        length = len(getattr(message, field))
        if length > limit:
            yield Violation(f"{path}{field}", "max_items", f"must have at most {limit} items, has {length}")
    for field in _parts(message.DESCRIPTOR):
        if message.HasField(field):
            yield from _too_long(getattr(message, field), f"{path}{field}.")


@cache
def _limits(descriptor: Descriptor) -> dict[str, int]:
    """The maximum number of items of each list and map that has such a rule."""
    limits = {}
    for field in descriptor.fields:
        if limit := max_items(field):
            limits[field.name] = limit
    return limits


@cache
def _parts(descriptor: Descriptor) -> list[str]:
    """The fields that hold one message of the contract."""
    return [
        field.name
        for field in descriptor.fields
        if field.message_type is not None
        and not field.is_repeated
        and field.message_type.file.package == descriptor.file.package
    ]


def _describe(violation: protovalidate.Violation) -> Violation:
    details = violation.proto
    description = details.message or details.rule_id
    value = violation.field_value
    if isinstance(value, str | int | float):
        shown = repr(value[:MAX_SHOWN_VALUE] if isinstance(value, str) else value)
        if isinstance(value, str) and len(value) > MAX_SHOWN_VALUE:
            shown += "…"
        description = f"{description}, is {shown}"
    return Violation(_path(violation), details.rule_id, description)


def _path(violation: protovalidate.Violation) -> str:
    """For example `requests[3].id` or `labels["team"]`."""
    path = ""
    for element in violation.proto.field.elements if violation.proto.field else []:
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            key = element.subscript.value
            path += f'["{key}"]' if isinstance(key, str) else f"[{key}]"
    return path
