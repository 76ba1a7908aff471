"""Converts JSON objects between `google.protobuf.Struct` and Python dicts, within the contract's limits.

Written by hand, because json_format needs twice the time and checks none of the limits. A Struct stores every
number as a double. Whole numbers up to 2^53 become `int`, so that 3 is stored and printed as 3, not as 3.0.
"""

import math
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value

MAX_DEPTH = 32
"""Levels of objects and lists, including the outermost."""
MAX_BYTES = 1024 * 1024
"""Size as protobuf bytes."""
MAX_EXACT_INTEGER = 2**53
"""The largest magnitude up to which a double holds every integer."""


class StructError(ValueError):
    """The value at `path` cannot be stored as JSON: `problem`.

    The path is relative to the object, for example `rows[3].x`; "" is the object itself.
    """

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path

    def inside(self, step: str) -> "StructError":
        """The same error, seen from the object around it; `step` is a key, or an index such as `[3]`."""
        separator = "." if self.path and not self.path.startswith("[") else ""
        return StructError(self.problem, f"{step}{separator}{self.path}")


class StructTooLargeError(StructError):
    """The object is larger than MAX_BYTES."""


def check_size(struct: Struct) -> int:
    """The size in bytes as protobuf. Raises StructTooLargeError if it is larger than MAX_BYTES."""
    size = struct.ByteSize()
    if size > MAX_BYTES:
        raise StructTooLargeError(f"must be at most {MAX_BYTES} bytes as protobuf, is {size}")
    return size


def struct_to_dict(struct: Struct) -> dict[str, Any]:
    """The object as plain Python data. Raises StructError."""
    return struct_to_dict_and_size(struct)[0]


def struct_to_dict_and_size(struct: Struct) -> tuple[dict[str, Any], int]:
    """The object as plain Python data, and its size in bytes as protobuf. Raises StructError."""
    size = check_size(struct)
    return _object_to_dict(struct, 1), size


def dict_to_struct(data: dict[str, Any]) -> Struct:
    """Plain data (dict, list, tuple, str, int, float, bool, None) as a Struct. Raises StructError."""
    struct = Struct()
    fill_struct(struct, data)
    return struct


def fill_struct(struct: Struct, data: Mapping[str, Any]) -> int:
    """Put plain data into an empty Struct. Returns its size as protobuf. Raises StructError.

    The Struct counts as set afterwards, even if `data` is empty.
    """
    struct.SetInParent()
    _fill_object(struct, data, 1)
    return check_size(struct)


def _object_to_dict(struct: Struct, depth: int) -> dict[str, Any]:
    _check_depth(depth)
    result = {}
    # Looked up one by one, because protobuf's items() needs twice the time.
    fields = struct.fields
    for key in fields:
        try:
            _check_key(key)
            result[key] = _value_to_plain(fields[key], depth)
        except StructError as error:
            raise error.inside(key) from None
    return result


def _list_to_plain(values: ListValue, depth: int) -> list[Any]:
    _check_depth(depth)
    result = []
    for index, value in enumerate(values.values):
        try:
            result.append(_value_to_plain(value, depth))
        except StructError as error:
            raise error.inside(f"[{index}]") from None
    return result


def _value_to_plain(value: Value, depth: int) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return _plain_number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "null_value":
            return None
        case "struct_value":
            return _object_to_dict(value.struct_value, depth + 1)
        case "list_value":
            return _list_to_plain(value.list_value, depth + 1)
        case _:
            raise StructError("must have a value")


def _plain_number(number: float) -> int | float:
    if not math.isfinite(number):
        raise StructError(f"must be a finite number, is {number}")
    negative_zero = number == 0 and math.copysign(1, number) < 0
    if number.is_integer() and abs(number) <= MAX_EXACT_INTEGER and not negative_zero:
        return int(number)
    return number


def _fill_object(struct: Struct, data: Mapping[Any, Any], depth: int) -> None:
    _check_depth(depth)
    for key, item in data.items():
        if not isinstance(key, str):
            raise StructError(f"keys must be strings, one is of type {type(key).__name__}")
        try:
            _check_text(key)
            _check_key(key)
            _fill_value(struct.fields[key], item, depth)
        except StructError as error:
            raise error.inside(key) from None


def _fill_value(value: Value, item: Any, depth: int) -> None:
    match item:
        case str():
            _check_text(item)
            value.string_value = item
        case bool():
            value.bool_value = item
        case int():
            if abs(item) > MAX_EXACT_INTEGER:
                raise StructError("must be an integer between -2^53 and 2^53, or a string")
            value.number_value = item
        case float():
            if not math.isfinite(item):
                raise StructError(f"must be a finite number, is {item}")
            value.number_value = item
        case None:
            value.null_value = NULL_VALUE
        case dict():
            value.struct_value.SetInParent()
            _fill_object(value.struct_value, item, depth + 1)
        case list() | tuple():
            value.list_value.SetInParent()
            _fill_list(value.list_value, item, depth + 1)
        case _:
            raise StructError(f"must be JSON data, is of type {type(item).__name__}")


def _fill_list(values: ListValue, items: list[Any] | tuple[Any, ...], depth: int) -> None:
    _check_depth(depth)
    for index, item in enumerate(items):
        try:
            _fill_value(values.values.add(), item, depth)
        except StructError as error:
            raise error.inside(f"[{index}]") from None


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise StructError(f"must be at most {MAX_DEPTH} levels deep")


def _check_key(key: str) -> None:
    if "\0" in key:
        raise StructError("must not have a NUL character in its key")


def _check_text(text: str) -> None:
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise StructError("must be valid Unicode, has a lone surrogate")
