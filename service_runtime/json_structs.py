"""Encodes a parsed JSON object as the bytes of a google.protobuf.Struct, within the contract's limits.

Written by hand: filling a Struct through protobuf's objects takes about twice as long, and every job that is
created by REST has one.
"""

import math
from collections.abc import Callable, Mapping
from struct import Struct as Packed
from typing import Any

from contract_runtime.structs import MAX_BYTES, MAX_DEPTH, MAX_EXACT_INTEGER
from service_runtime.json_body import Misfit, Twice

_double = Packed("<d").pack
_SMALL = tuple(bytes([number]) for number in range(128))


def struct_bytes(data: Mapping[str, Any], depth: int = 1) -> bytes:
    """The object as protobuf. Raises Misfit, which names the path and the problem."""
    if type(data) is Twice:
        raise data.misfit()
    _check_depth(depth)
    parts = []
    size = 0
    for key, item in data.items():
        try:
            name = _utf8(key)
            value = _value(item, depth)
        except Misfit as error:
            raise error.inside(key) from None
        entry = b"\x0a" + _length(len(name)) + name + b"\x12" + _length(len(value)) + value
        part = b"\x0a" + _length(len(entry)) + entry
        size += len(part)
        _check_size(size)
        parts.append(part)
    return b"".join(parts)


def _list_bytes(items: list[Any], depth: int) -> bytes:
    _check_depth(depth)
    parts = []
    size = 0
    for index, item in enumerate(items):
        try:
            value = _value(item, depth)
        except Misfit as error:
            raise error.inside(index) from None
        part = b"\x0a" + _length(len(value)) + value
        size += len(part)
        _check_size(size)
        parts.append(part)
    return b"".join(parts)


def _value(item: Any, depth: int) -> bytes:
    return _WRITERS[type(item)](item, depth)


def _text(item: str, _depth: int) -> bytes:
    text = _utf8(item)
    return b"\x1a" + _length(len(text)) + text


def _integer(item: int, _depth: int) -> bytes:
    if not -MAX_EXACT_INTEGER <= item <= MAX_EXACT_INTEGER:
        raise Misfit("must be an integer between -2^53 and 2^53, or a string", "number.exact")
    return b"\x11" + _double(item)


def _fraction(item: float, _depth: int) -> bytes:
    if not math.isfinite(item):
        raise Misfit("must be a number that a double can hold", "number.finite")
    return b"\x11" + _double(item)


def _list(items: list[Any], depth: int) -> bytes:
    inner = _list_bytes(items, depth + 1)
    return b"\x32" + _length(len(inner)) + inner


def _object(item: dict[str, Any], depth: int) -> bytes:
    inner = struct_bytes(item, depth + 1)
    return b"\x2a" + _length(len(inner)) + inner


_WRITERS: dict[type, Callable[[Any, int], bytes]] = {
    str: _text,
    int: _integer,
    float: _fraction,
    bool: lambda item, _depth: b"\x20\x01" if item else b"\x20\x00",
    type(None): lambda _item, _depth: b"\x08\x00",
    list: _list,
    dict: _object,
    Twice: _object,
}
"""Writes a google.protobuf.Value, by the type that the JSON parser makes."""


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Misfit("must be valid Unicode, has a lone surrogate", "text.unicode") from None


def _length(size: int) -> bytes:
    """The size as a varint."""
    if size < 128:
        return _SMALL[size]
    parts = bytearray()
    while size > 127:
        parts.append(size & 127 | 128)
        size >>= 7
    parts.append(size)
    return bytes(parts)


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Misfit(f"must be at most {MAX_DEPTH} levels deep", "struct.json")


def _check_size(size: int) -> None:
    """Early, so that a body that is small as JSON and huge as protobuf costs little."""
    if size > MAX_BYTES:
        raise Misfit(f"must be at most {MAX_BYTES} bytes as protobuf", "struct.json")
