"""What is said of an error is short and fit for protobuf, whatever its own code does, and nothing of it raises."""

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
    return self.and_so_on


DEEDS: list[Any] = [
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
    """An error of a class that does something odd wherever a class may."""
    base = draw(st.sampled_from(BASES))
    deeds = draw(st.dictionaries(st.sampled_from(METHODS), st.sampled_from(DEEDS), max_size=6))
    as_properties = draw(st.booleans())
    body = {name: property(deed) if as_properties else deed for name, deed in deeds.items()}
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
def test_whatever_an_error_does_it_is_described_in_short(
    error: BaseException, cause: BaseException | None
) -> None:
    BaseException.__dict__["__cause__"].__set__(error, cause)
    try:
        _raise(error)
    except BaseException as raised:  # noqa: BLE001 - of any kind
        description, trace, members = describe(raised), format_error(raised), leaves(raised)

    assert description.startswith("Hostile")
    assert type(description) is type(trace) is str
    assert len(description.encode()) <= 4 * MAX_TEXT
    assert trace.encode()
    assert len(trace) <= MAX_TRACE
    assert "in test_whatever_an_error_does" in trace
    assert members
    assert text_of(error).encode() is not None
    assert type_name(error) == "Hostile"


def test_a_group_in_itself_many_times_is_looked_at_once() -> None:
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


def test_others_are_named_beside_a_text() -> None:
    assert with_others("text", []) == "text"
    assert with_others("text", [ValueError("a"), KeyError()]) == "text (also ValueError: a; KeyError)"
