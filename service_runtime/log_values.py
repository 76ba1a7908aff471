"""Turns any values into plain data of a limited size, for log lines. Pure.

Values may have classes of a handler: their `__repr__` may raise, recurse without end, or return megabytes. So
strings are cut before they are processed, containers are walked up to a limit, and no function here raises.
"""

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

MAX_TEXT = 4_000
"""Maximum characters of one value in a log line."""
MAX_TRACE = 16_000
"""Maximum characters of a traceback."""
MAX_KEYS = 60
MAX_KEY = 100
MAX_ITEMS = 200
MAX_DEPTH = 5
MAX_PLAIN_INTEGER = 2**63
TRACES = frozenset({"exception", "stack"})


def bounded_event(event: Mapping[str, Any], share: float = 1.0) -> dict[str, Any]:
    """The event, with each value as JSON data.

    A value has at most MAX_TEXT characters and a traceback MAX_TRACE, both multiplied by `share`.
    """
    texts, traces = int(MAX_TEXT * share), int(MAX_TRACE * share)
    small: dict[str, Any] = {}
    for key, value in islice(event.items(), MAX_KEYS):
        if type(key) is not str or len(key) > MAX_KEY:
            key = text_of(key, MAX_KEY)  # noqa: PLW2901 - the short key replaces the long one
        # The most common values first: this runs for every line.
        if type(value) is str and len(value) <= texts:
            small[key] = value
        else:
            small[key] = bounded(value, traces if key in TRACES else texts)
    return small


def bounded(value: Any, limit: int = MAX_TEXT) -> Any:
    """`value` as JSON data with at most about `limit` characters. Never raises."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= limit else cut(value, limit)
    if value is None or kind is bool or (kind is int and -MAX_PLAIN_INTEGER < value < MAX_PLAIN_INTEGER):
        return value
    try:
        return _Walk(limit).plain(value, MAX_DEPTH)
    except BaseException as error:  # noqa: BLE001 - the value's own code may raise anything, SystemExit too
        return _unprintable(value, error)


def text_of(value: Any, limit: int = MAX_TEXT) -> str:
    """`str(value)`, cut to `limit` characters. Never raises."""
    try:
        return cut(value if isinstance(value, str) else str(value), limit)
    except BaseException as error:  # noqa: BLE001 - the value's own code may raise anything
        return _unprintable(value, error)


def repr_of(value: Any, limit: int = MAX_TEXT) -> str:
    """`repr(value)`, cut to `limit` characters. Never raises; reads no more of a container than it shows."""
    plain = bounded(value, limit)
    try:
        return plain if isinstance(plain, str) and not isinstance(value, str) else cut(repr(plain), limit)
    except BaseException as error:  # noqa: BLE001 - the value's own code may raise anything
        return _unprintable(value, error)


def cut(text: str, limit: int) -> str:
    """`text` with at most `limit` characters: the middle of a longer text is left out.

    Calls the methods of str itself, not those of a subclass.
    """
    size = str.__len__(text)
    if size <= limit:
        return text if type(text) is str else str.__str__(text)
    left_out = f"… ({size - limit} characters left out) …"
    kept = max(limit - len(left_out), 0)
    head = kept - kept // 2
    return (
        str.__getitem__(text, slice(head)) + left_out + str.__getitem__(text, slice(size - kept // 2, size))
    )


def _unprintable(value: Any, error: BaseException) -> str:
    return f"<{_name(type(value))}, not printable: {_name(type(error))}>"


def _name(kind: type) -> str:
    return cut(type.__dict__["__name__"].__get__(kind), MAX_KEY)


class _Walk:
    """Walks through one value until it has collected `limit` characters."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def plain(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._take(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, float):
            self._left -= 20
            number = float.__float__(value)
            return number if math.isfinite(number) else float.__repr__(number)
        return self._object(value, depth)

    def _object(self, value: Any, depth: int) -> Any:
        if isinstance(value, bytes | bytearray):
            return self._take(repr(bytes(value[: max(self._left, 0)])))
        if isinstance(value, BaseException):
            return self._take(f"{_name(type(value))}({error_text(value, max(self._left, 1))!r})")
        if isinstance(value, dict):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | set | frozenset):
            return self._sequence(value, depth)
        return self._take(repr(value))

    def _integer(self, value: int) -> int | str:
        self._left -= 20
        bits = int.bit_length(value)
        # Python refuses to print very large integers, and prints large ones slowly.
        return int.__int__(value) if bits <= 64 else f"an integer of {bits} bits"

    def _mapping(self, value: dict[Any, Any], depth: int) -> Any:
        if depth == 0:
            return "{…}"
        plain: dict[str, Any] = {}
        for key, item in islice(dict.items(value), MAX_ITEMS):
            if self._left <= 0:
                break
            plain[self._take(key) if isinstance(key, str) else self._take(repr_of(key, MAX_KEY))] = (
                self._guarded(item, depth)
            )
        if len(plain) < dict.__len__(value):
            plain["…"] = f"{dict.__len__(value) - len(plain)} more"
        return plain

    def _sequence(self, value: Any, depth: int) -> Any:
        if depth == 0:
            return "[…]"
        kind = next(kind for kind in (list, tuple, set, frozenset) if isinstance(value, kind))
        plain: list[Any] = []
        for item in islice(kind.__iter__(value), MAX_ITEMS):
            if self._left <= 0:
                break
            plain.append(self._guarded(item, depth))
        if len(plain) < kind.__len__(value):
            plain.append(f"… {kind.__len__(value) - len(plain)} more")
        return plain

    def _guarded(self, item: Any, depth: int) -> Any:
        """An item that raises does not affect the others."""
        try:
            return self.plain(item, depth - 1)
        except BaseException as error:  # noqa: BLE001 - the value's own code may raise anything
            return self._take(_unprintable(item, error))

    def _take(self, text: str) -> str:
        short = cut(text, max(self._left, 0))
        self._left -= len(short) + 2
        return short


def error_text(error: BaseException, limit: int = MAX_TEXT) -> str:
    """`str(error)`, cut to `limit` characters. With the usual `__str__`, long texts are cut beforehand."""
    try:
        args = BaseException.args.__get__(error)  # type: ignore[attr-defined]
        if type(error).__str__ is BaseException.__str__:
            if not args:
                return ""
            is_text = len(args) == 1 and isinstance(args[0], str)
            return text_of(args[0], limit) if is_text else _args(args, limit)
        if type(error).__str__ is KeyError.__str__ and len(args) == 1:
            return repr_of(args[0], limit)
    except BaseException as second:  # noqa: BLE001 - the value's own code may raise anything
        return _unprintable(error, second)
    return text_of(error, limit)


def _args(args: tuple[Any, ...], limit: int) -> str:
    if len(args) > 1:
        return repr_of(args, limit)
    if isinstance(args[0], bytes | list | tuple | dict):
        return repr_of(args[0], limit)
    return text_of(args[0], limit)
