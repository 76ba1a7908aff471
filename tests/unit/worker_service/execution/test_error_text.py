"""The description of an error is short and valid for protobuf and never raises, whatever the error's code
does.
"""

from typing import Any, NoReturn

from hypothesis import given
from hypothesis import strategies as st

from service_runtime.log_values import MAX_TRACE
from service_runtime.traces import format_error
from worker_service.execution.error_text import (
    MAX_TEXT,
    describe,
    leaves,
    short,
    text_of,
    type_name,
    with_others,
)

METHODS = [
    *(
        "__str__",
        "__repr__",
        "__getattr__",
        "__getattribute__",
        "__eq__",
        "__hash__",
        "__reduce__",
        "__format__",
    ),
    *(
        "__class__",
        "__dict__",
        "__notes__",
        "__cause__",
        "__context__",
        "__traceback__",
        "__suppress_context__",
    ),
    *("__len__", "__iter__", "__bool__", "args", "exceptions", "filename", "name", "obj"),
]


def _raise(error: BaseException) -> NoReturn:
    raise error


def _recurse(self: Any, *_arguments: Any) -> Any:
    return self.again


ACTIONS: list[Any] = [
    lambda *_: _raise(KeyError("k")),
    lambda *_: _raise(SystemExit(3)),
    lambda *_: _raise(KeyboardInterrupt()),
    lambda *_: _raise(BaseExceptionGroup("g", [GeneratorExit()])),
    _recurse,
    lambda *_: None,
    lambda *_: 5,
    lambda *_: "\udcff" * 9000,
    lambda *_: b"bytes",
]
BASES: list[type[BaseException]] = [
    *(
        Exception,
        BaseException,
        SystemExit,
        NameError,
        AttributeError,
        ImportError,
        SyntaxError,
        UnicodeDecodeError,
    ),
    *(OSError, StopIteration, ExceptionGroup),
]


@st.composite
def hostile_errors(draw: st.DrawFn) -> BaseException:
    """An error of a class that overrides some special methods or attributes with odd ones."""
    base = draw(st.sampled_from(BASES))
    actions = draw(st.dictionaries(st.sampled_from(METHODS), st.sampled_from(ACTIONS), max_size=6))
    as_properties = draw(st.booleans())
    body = {name: property(action) if as_properties else action for name, action in actions.items()}
    kind: Any = type("Hostile", (base,), body)
    arguments: tuple[Any, ...] = ()
    if base is ExceptionGroup:
        arguments = ("group", [ValueError("a"), ValueError("b")])
    elif base is UnicodeDecodeError:
        arguments = ("utf-8", b"\xff", 0, 1, "bad")
    elif base is SyntaxError:
        arguments = ("bad", ("f", 1, 1, b"text"))
    error: BaseException = kind.__new__(kind, *arguments)
    BaseException.__init__(error, *arguments)
    return error


@given(hostile_errors(), st.none() | hostile_errors())
def test_any_hostile_error_gets_a_short_description(
    error: BaseException, cause: BaseException | None
) -> None:
    BaseException.__dict__["__cause__"].__set__(error, cause)
    try:
        _raise(error)
    except BaseException as raised:  # noqa: BLE001 - it can be of any type
        description, trace, members = describe(raised), format_error(raised), leaves(raised)

    assert description.startswith("Hostile")
    assert type(description) is type(trace) is str
    assert len(description.encode()) <= 4 * MAX_TEXT
    assert trace.encode()
    assert len(trace) <= MAX_TRACE
    assert "in test_any_hostile_error" in trace
    assert members
    assert text_of(error).encode() is not None
    assert type_name(error) == "Hostile"


def test_a_group_that_contains_an_error_many_times_names_it_once() -> None:
    inner = ValueError("inner")
    group: Exception = inner
    for _ in range(100):
        group = ExceptionGroup("of twins", [group, group])

    assert leaves(group) == [inner]
    assert describe(group) == "ExceptionGroup: of twins (2 sub-exceptions): ValueError: inner"
    assert len(format_error(group)) <= MAX_TRACE


def test_a_text_is_cut_when_it_is_longer_than_allowed() -> None:
    assert short("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert short("x" * (MAX_TEXT + 1)) == "x" * (MAX_TEXT - 1) + "…"
    assert len(short("\udcff" * MAX_TEXT)) == MAX_TEXT


def test_the_other_errors_follow_the_text() -> None:
    assert with_others("text", []) == "text"
    assert with_others("text", [ValueError("a"), KeyError()]) == "text (also ValueError: a; KeyError)"
