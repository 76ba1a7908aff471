"""What is said of an error that a handler raised: its name, its text, its trace.

The handler's own code may stand behind each of them: `__str__`, `__getattr__`, a metaclass. So nothing here raises, whatever
that code does, and all of it is short. Names, causes and traces are read past that code, as C has them.
"""

import traceback
from collections.abc import Iterable, Iterator
from typing import Any

MAX_TEXT = 1000
"""Characters of an error's text that a job keeps."""
MAX_NAME = 200
MAX_TRACE = 8 * 1024
"""Characters of a trace; what is in its middle is left out."""
MOST_FRAMES = 1000
MOST_ERRORS = 20
"""Causes, and members of groups, that a trace shows."""
MOST_NOTES = 10
MOST_MEMBERS = 10
"""Errors of a group that its description names."""
CAUSE = "The above exception was the direct cause of the following exception:"
CONTEXT = "During handling of the above exception, another exception occurred:"


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


def trace_of(error: BaseException) -> str:
    """Where it was raised, with its causes, about as Python prints it."""
    try:
        lines = _trace(error, _Budget(MOST_ERRORS))
        return _cut_middle("\n".join(lines).encode(errors="backslashreplace").decode(), MAX_TRACE)
    except BaseException as second:  # noqa: BLE001 - as above
        return f"(its trace cannot be had: {type_name(second)})"


class _Budget:
    """How many errors a trace may still show."""

    def __init__(self, left: int) -> None:
        self.left = left


def _trace(error: BaseException, budget: _Budget) -> Iterator[str]:
    for link, each in reversed(list(_causes(error, budget))):
        yield from _frames(each)
        yield from _last_lines(each)
        if is_group(each):
            yield from (f"  | {line}" for line in _traces_of_members(each, budget))
        if link:
            yield f"\n{link}\n"


def _causes(error: BaseException, budget: _Budget) -> Iterator[tuple[str, BaseException]]:
    """`error`, then what caused it, each with the sentence that links it to the one before."""
    seen: set[int] = set()
    link, each = "", error
    while id(each) not in seen and budget.left > 0:
        seen.add(id(each))
        budget.left -= 1
        yield link, each
        cause, context = _of_error("__cause__", each), _of_error("__context__", each)
        if cause is not None:
            link, each = CAUSE, cause
        elif context is not None and not _of_error("__suppress_context__", each):
            link, each = CONTEXT, context


def _traces_of_members(group: BaseException, budget: _Budget) -> Iterator[str]:
    for number, member in enumerate(_members(group), 1):
        if budget.left <= 0:
            yield "… and more"
            return
        yield f"---------------- {number} ----------------"
        for line in _trace(member, budget):
            yield from line.split("\n")


def _frames(error: BaseException) -> Iterable[str]:
    trace = _of_error("__traceback__", error)
    if trace is None:
        return []
    try:
        frames = traceback.extract_tb(trace, -MOST_FRAMES).format()
        return ["Traceback (most recent call last):", *(frame.rstrip("\n") for frame in frames)]
    except BaseException as second:  # noqa: BLE001 - it looks for the source with the help of the handler's module
        return [f"  (its frames cannot be had: {type_name(second)})"]


def _last_lines(error: BaseException) -> Iterator[str]:
    module = _of_type("__module__", type(error))
    name = type_name(error)
    if type(module) is str and module not in ("builtins", "__main__"):
        name = f"{short(module, MAX_NAME)}.{name}"
    text = text_of(error)
    yield f"{name}: {text}" if text else name
    try:
        notes = object.__getattribute__(error, "__notes__")
    except BaseException:  # noqa: BLE001 - as above
        return
    if type(notes) is list:
        yield from (short(note) for note in notes[:MOST_NOTES] if issubclass(type(note), str))


def is_group(error: BaseException) -> bool:
    """Whether `error` really is a group of errors."""
    return issubclass(type(error), BaseExceptionGroup)


def _members(group: BaseException) -> tuple[BaseException, ...]:
    members: tuple[BaseException, ...] = BaseExceptionGroup.__dict__["exceptions"].__get__(group)
    return members


def _of_error(name: str, error: BaseException) -> Any:
    """An attribute that every error has, past the attributes of the same name that its class may have."""
    return BaseException.__dict__[name].__get__(error)


def _of_type(name: str, kind: type) -> Any:
    """The same of a class and its metaclass."""
    return type.__dict__[name].__get__(kind)


def _cut_middle(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = (most - 50) // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
