"""What is said of an error that a handler raised: its name and its text.

The handler's own code may stand behind each of them: `__str__`, `__getattr__`, a metaclass. So nothing here raises, whatever
that code does, and all of it is short. Names and members of groups are read past that code, as C has them.
"""

from typing import Any

MAX_TEXT = 1000
"""Characters of an error's text that a job keeps."""
MAX_NAME = 200
MOST_MEMBERS = 10
"""Errors of a group that its description names."""


def short(text: str, most: int = MAX_TEXT) -> str:
    """`text` cut at its end to `most` characters, fit for protobuf, and a plain str whatever `text` is a subclass of."""
    start = str.__getitem__(text, slice(most + 1)).encode(errors="backslashreplace").decode()
    return start if len(start) <= most else f"{start[: most - 1]}…"


def type_name(value: object) -> str:
    """The name of the type that `value` really has."""
    return short(_of_type("__qualname__", type(value)), MAX_NAME)


def text_of(error: BaseException) -> str:
    """What `error` says of itself."""
    try:
        return short(str(error))
    except BaseException as second:  # noqa: BLE001 - its code is the handler's, which may raise anything
        return f"(its text cannot be had: {type_name(second)})"


def describe(error: BaseException) -> str:
    """Name and text, and those of a group's members."""
    name, text = type_name(error), text_of(error)
    own = f"{name}: {text}" if text else name
    members = [leaf for leaf in leaves(error) if leaf is not error]
    return with_others(own, members, ": ", "") if members else short(own)


def with_others(text: str, others: list[BaseException], before: str = " (also ", after: str = ")") -> str:
    """`text`, followed by the names and texts of `others`, between `before` and `after`."""
    if not others:
        return short(text)
    told = "; ".join(describe(each) for each in others[:MOST_MEMBERS])
    return short(f"{text}{before}{told}{after}")


def leaves(error: BaseException) -> list[BaseException]:
    """The errors of a group and of the groups in it, each once, in their order; `error` alone if it is no group."""
    found: list[BaseException] = []
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if is_group(each):
            waiting.extend(reversed(_members(each)))
        else:
            found.append(each)
    return found


def is_group(error: BaseException) -> bool:
    """Whether `error` really is a group of errors."""
    return issubclass(type(error), BaseExceptionGroup)


def _members(group: BaseException) -> tuple[BaseException, ...]:
    members: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(group)
    return members


def _of_type(name: str, kind: type) -> Any:
    """The same of a class and its metaclass."""
    return type.__dict__[name].__get__(kind)
