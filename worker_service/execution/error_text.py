"""Describes an error that a handler raised: by its name and its text.

Both can run the handler's own code: `__str__`, `__getattr__`, a metaclass. Nothing here raises, whatever that
code does, and every text is short. Type names and members of groups are read from CPython's own descriptors,
so that no code of the handler runs for them.
"""

from typing import Any

MAX_TEXT = 1000
"""Characters of an error's text that a job keeps."""
MAX_NAME = 200
MAX_MEMBERS = 10
"""Errors of a group that its description names."""


def short(text: str, limit: int = MAX_TEXT) -> str:
    """`text` cut to `limit` characters, valid for protobuf, and a plain str even if `text` is not."""
    start = str.__getitem__(text, slice(limit + 1)).encode(errors="backslashreplace").decode()
    return start if len(start) <= limit else f"{start[: limit - 1]}…"


def type_name(value: object) -> str:
    """The name of the real type of `value`."""
    return short(_type_attribute("__qualname__", type(value)), MAX_NAME)


def text_of(error: BaseException) -> str:
    try:
        return short(str(error))
    except BaseException as second:  # noqa: BLE001 - the handler's code runs here and can raise anything
        return f"(reading its text raised {type_name(second)})"


def describe(error: BaseException) -> str:
    """The name and text of `error` and, if it is a group, those of its members."""
    name, text = type_name(error), text_of(error)
    own = f"{name}: {text}" if text else name
    members = [leaf for leaf in leaves(error) if leaf is not error]
    return with_others(own, members, ": ", "") if members else short(own)


def with_others(text: str, others: list[BaseException], before: str = " (also ", after: str = ")") -> str:
    """`text`, followed by descriptions of `others` between `before` and `after`."""
    if not others:
        return short(text)
    descriptions = "; ".join(describe(each) for each in others[:MAX_MEMBERS])
    return short(f"{text}{before}{descriptions}{after}")


def leaves(error: BaseException) -> list[BaseException]:
    """The errors of a group and of the groups inside it, each once, in order. [`error`] if it is no group."""
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
    """Whether `error` is a group of errors by its real type."""
    return issubclass(type(error), BaseExceptionGroup)


def _members(group: BaseException) -> tuple[BaseException, ...]:
    members: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(group)
    return members


def _type_attribute(name: str, kind: type) -> Any:
    """An attribute of `kind` as `type` defines it: neither the class nor its metaclass can replace it."""
    return type.__dict__[name].__get__(kind)
