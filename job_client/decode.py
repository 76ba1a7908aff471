"""Converts the contract's messages to the dataclasses of reports.py, field by field, by name. Pure."""

import dataclasses
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from contract_runtime.structs import struct_to_dict
from job_client.job import to_duration, to_time

T = TypeVar("T")


def decode(message: Message, kind: type[T]) -> T:
    """The message as a dataclass that has fields of the same names. A message that is not set is None."""
    values = {}
    of_kind: Any = kind  # a class is hashable
    for name, field, wanted in _fields(of_kind, message.DESCRIPTOR):
        values[name] = _value(message, name, field, wanted)
    return kind(**values)


def _value(message: Any, name: str, field: FieldDescriptor, wanted: Any) -> Any:
    if not field.is_repeated:
        is_unset = field.has_presence and not message.HasField(name)
        return None if is_unset else _single(getattr(message, name), field.enum_type, wanted)
    return tuple(_single(each, field.enum_type, wanted) for each in getattr(message, name))


def _single(value: Any, enum: EnumDescriptor | None, wanted: Any) -> Any:
    if enum is not None:
        known = enum.values_by_number.get(value)
        return known.name if known else str(value)
    if isinstance(value, Timestamp):
        return to_time(value)
    if isinstance(value, Duration):
        return to_duration(value)
    if isinstance(value, Struct):
        return struct_to_dict(value)
    return decode(value, wanted) if isinstance(value, Message) else value


@lru_cache
def _fields(kind: type[Any], descriptor: Any) -> tuple[tuple[str, FieldDescriptor, Any], ...]:
    """Each field of the class with its field in the message, and the class of its values."""
    hints = get_type_hints(kind)
    return tuple(
        (each.name, descriptor.fields_by_name[each.name], _item(hints[each.name]))
        for each in dataclasses.fields(kind)
    )


def _item(hint: Any) -> Any:
    """X of `tuple[X, ...]` and of `X | None`."""
    return get_args(hint)[0] if get_origin(hint) is tuple or get_args(hint) else hint
