"""What a log line says of values: plain data of a bounded size, whatever the values are. Pure.

Values may be of a handler's own classes: their `__repr__` may raise, never end in sight, or give megabytes. So strings are cut
before anything is made of them, containers are walked with a limit, and nothing here raises.
"""

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

MAX_TEXT = 4_000
"""Characters of one value in a log line."""
MAX_TRACE = 16_000
"""Characters of a trace."""
MAX_KEYS = 60
MAX_KEY = 100
MAX_ITEMS = 200
MAX_DEPTH = 5
MAX_PLAIN_INTEGER = 2**63
TRACES = frozenset({"exception", "stack"})


def bounded_event(event: Mapping[str, Any], share: float = 1.0) -> dict[str, Any]:
    """The event with each value as JSON data of at most MAX_TEXT characters, traces of MAX_TRACE; `share` of that, if told."""
    texts, traces = int(MAX_TEXT * share), int(MAX_TRACE * share)
    small: dict[str, Any] = {}
    for key, value in islice(event.items(), MAX_KEYS):
        if type(key) is not str or len(key) > MAX_KEY:
            key = text_of(key, MAX_KEY)  # noqa: PLW2901 - the short key is meant from here on
        # The usual values, first of all: this is done for each line.
        if type(value) is str and len(value) <= texts:
            small[key] = value
        else:
            small[key] = bounded(value, traces if key in TRACES else texts)
    return small


def bounded(value: Any, most: int = MAX_TEXT) -> Any:
    """`value` as JSON data with at most about `most` characters. Raises nothing."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= most else cut(value, most)
    if value is None or kind is bool or (kind is int and -MAX_PLAIN_INTEGER < value < MAX_PLAIN_INTEGER):
        return value
    try:
        return _Walk(most).plain(value, MAX_DEPTH)
    except BaseException as error:  # noqa: BLE001 - what raises here is the value's own code, SystemExit too
        return _unprintable(value, error)


def text_of(value: Any, most: int = MAX_TEXT) -> str:
    """`str(value)`, cut to `most` characters. Raises nothing."""
    try:
        return cut(value if isinstance(value, str) else str(value), most)
    except BaseException as error:  # noqa: BLE001 - the value's own code may raise anything
        return _unprintable(value, error)


def repr_of(value: Any, most: int = MAX_TEXT) -> str:
    """`repr(value)`, cut to `most` characters; of the usual containers and strings no more is looked at. Raises nothing."""
    plain = bounded(value, most)
    try:
        return plain if isinstance(plain, str) and not isinstance(value, str) else cut(repr(plain), most)
    except BaseException as error:  # noqa: BLE001 - the value's own code may raise anything
        return _unprintable(value, error)


def cut(text: str, most: int) -> str:
    """`text`, without its middle where it has more than `most` characters. What a subclass of str makes of itself is not asked."""
    size = str.__len__(text)
    if size <= most:
        return text if type(text) is str else str.__str__(text)
    left_out = f"… ({size - most} characters left out) …"
    kept = max(most - len(left_out), 0)
    head = kept - kept // 2
    return (
        str.__getitem__(text, slice(head)) + left_out + str.__getitem__(text, slice(size - kept // 2, size))
    )


def _unprintable(value: Any, error: BaseException) -> str:
    return f"<{_name(type(value))}, not printable: {_name(type(error))}>"


def _name(kind: type) -> str:
    return cut(type.__dict__["__name__"].__get__(kind), MAX_KEY)


class _Walk:
    """Through one value, until `left` characters have been taken from it."""

    def __init__(self, most: int) -> None:
        self._left = most

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
        # Python refuses to print the very large ones, and takes its time.
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
        """One bad item spoils no others."""
        try:
            return self.plain(item, depth - 1)
        except BaseException as error:  # noqa: BLE001 - the value's own code may raise anything
            return self._take(_unprintable(item, error))

    def _take(self, text: str) -> str:
        short = cut(text, max(self._left, 0))
        self._left -= len(short) + 2
        return short


def error_text(error: BaseException, most: int = MAX_TEXT) -> str:
    """`str(error)`, cut to `most` characters; a long text is cut first where the exception is printed in the usual way."""
    try:
        args = BaseException.args.__get__(error)  # type: ignore[attr-defined]
        if type(error).__str__ is BaseException.__str__:
            if not args:
                return ""
            return (
                text_of(args[0], most) if len(args) == 1 and isinstance(args[0], str) else _args(args, most)
            )
        if type(error).__str__ is KeyError.__str__ and len(args) == 1:
            return repr_of(args[0], most)
    except BaseException as second:  # noqa: BLE001 - the value's own code may raise anything
        return _unprintable(error, second)
    return text_of(error, most)


def _args(args: tuple[Any, ...], most: int) -> str:
    if len(args) > 1:
        return repr_of(args, most)
    return (
        repr_of(args[0], most) if isinstance(args[0], bytes | list | tuple | dict) else text_of(args[0], most)
    )
