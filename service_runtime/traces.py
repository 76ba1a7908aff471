"""Formats exceptions as Python does, with a limited size, whatever the code of the exception does. Pure.

The module `traceback` is not safe here: it reads attributes that the exception's class may implement and
raise in, and it prints the whole text.
"""

import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from service_runtime.log_values import MAX_TRACE, cut, error_text, text_of

MAX_ERRORS = 20
"""Exceptions in one traceback: causes, and members of groups."""
MAX_FRAMES = 60
"""Frames shown of one exception: half of them outermost, half innermost."""
MAX_NOTES = 10
MAX_MESSAGE = 2_000
"""Characters of the text of one exception."""

CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def format_error(error: BaseException) -> str:
    """The traceback, with at most MAX_TRACE characters: a longer one loses its middle. Never raises."""
    try:
        return _fit("".join(_chain(error, _Budget())).rstrip("\n"), MAX_TRACE)
    except BaseException as second:  # noqa: BLE001 - the log shows at least that there was an error
        return f"{_name(error)} (no trace: {type(second).__name__})"


class _Budget:
    """The number of exceptions that a traceback may still show."""

    def __init__(self) -> None:
        self._left = MAX_ERRORS

    def spend(self) -> bool:
        """Count one more exception. False: it must not be shown."""
        self._left -= 1
        return self._left >= 0


def _chain(error: BaseException, budget: _Budget) -> Iterator[str]:
    """The exception with its causes, the first cause first."""
    links: list[tuple[BaseException, str]] = [(error, "")]
    seen = {id(error)}
    while True:
        before, joint = _cause_of(links[-1][0])
        if before is None or id(before) in seen:
            break
        if not budget.spend():
            yield "(earlier exceptions are left out)\n"
            break
        seen.add(id(before))
        links.append((before, joint))
    # A joint is the text between an exception and the one that it caused.
    joints = [joint for _, joint in links[1:]]
    for index in range(len(links) - 1, -1, -1):
        yield from _one(links[index][0], budget)
        if index:
            yield joints[index - 1]


def _cause_of(error: BaseException) -> tuple[BaseException | None, str]:
    # Read through the slots, to bypass the exception's own __getattribute__.
    cause = _slot(error, "__cause__")
    if cause is not None:
        return cause, CAUSE
    if _slot(error, "__suppress_context__"):
        return None, ""
    return _slot(error, "__context__"), CONTEXT


def _slot(error: BaseException, name: str) -> Any:
    return BaseException.__dict__[name].__get__(error)


def _one(error: BaseException, budget: _Budget) -> Iterator[str]:
    trace: TracebackType | None = _slot(error, "__traceback__")
    if trace is not None:
        yield "Traceback (most recent call last):\n"
        yield from _frames(trace)
    message = _fit(error_text(error, MAX_MESSAGE), MAX_MESSAGE)
    yield f"{_name(error)}: {message}\n" if message else f"{_name(error)}\n"
    yield from _notes(error)
    # By its real type: isinstance may call the error's own code.
    if issubclass(type(error), BaseExceptionGroup):
        yield from _members(error, budget)


def _frames(trace: TracebackType) -> Iterator[str]:
    frames = list(traceback.walk_tb(trace))
    left_out = len(frames) - MAX_FRAMES
    if left_out <= 0:
        yield from _lines(frames)
        return
    half = MAX_FRAMES // 2
    yield from _lines(frames[:half])
    yield f"  ({left_out} frames are left out)\n"
    yield from _lines(frames[-half:])


def _lines(frames: list[Any]) -> list[str]:
    return traceback.StackSummary.extract(frames).format()


def _notes(error: BaseException) -> Iterator[str]:
    try:
        notes = getattr(error, "__notes__", None)
    except BaseException:  # noqa: BLE001 - the exception's own code may raise anything
        return
    if isinstance(notes, list):
        for note in notes[:MAX_NOTES]:
            yield _fit(text_of(note, MAX_MESSAGE), MAX_MESSAGE) + "\n"


def _members(group: BaseException, budget: _Budget) -> Iterator[str]:
    members = BaseExceptionGroup.__dict__["exceptions"].__get__(group)
    for number, member in enumerate(members, 1):
        if not budget.spend():
            yield f"  ({len(members) - number + 1} members are left out)\n"
            break
        yield f"  +---------------- {number} ----------------\n"
        for part in _chain(member, budget):
            yield from ("  | " + line for line in part.splitlines(keepends=True))


def _name(error: BaseException) -> str:
    kind = type(error)
    return cut(type.__dict__["__qualname__"].__get__(kind), 200)


def _fit(text: str, limit: int) -> str:
    """The text with at most `limit` characters. Lone surrogates cannot be written and are escaped."""
    return cut(text.encode(errors="backslashreplace").decode(), limit)
