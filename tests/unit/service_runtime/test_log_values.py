"""Any value and any exception can be logged, and the line has a limited length."""

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.log_values import MAX_TEXT, MAX_TRACE, bounded, bounded_event, cut, error_text, repr_of
from service_runtime.traces import format_error


class Hostile:
    """Every method raises."""

    def __repr__(self) -> str:
        raise SystemExit(3)

    __str__ = __repr__
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __getattr__(self, name: str) -> Any:
        return getattr(self, name + "x")


class LyingText(str):
    __slots__ = ()

    def __len__(self) -> int:
        raise KeyError

    __getitem__ = __str__ = __repr__ = __len__  # type: ignore[assignment]


class LyingMapping(dict[str, int]):
    def items(self) -> Any:
        raise KeyError

    __iter__ = __len__ = __repr__ = items


class LyingList(list[int]):
    def __iter__(self) -> Any:
        raise KeyError

    __len__ = __repr__ = __iter__


class ApiError(Exception):
    """Looks every attribute up in its data, as exceptions of some client libraries do."""

    def __getattr__(self, name: str) -> Any:
        return self.data[name]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise KeyError("text")

    __repr__ = __str__


def cyclic() -> list[Any]:
    values: list[Any] = [1]
    values.append(values)
    return values


HOSTILE: list[Callable[[], Any]] = [
    Hostile,
    lambda: LyingText("abc"),
    lambda: LyingMapping(a=1),
    lambda: LyingList([1]),
    cyclic,
    lambda: 10**100_000,
    lambda: float("nan"),
    lambda: "\ud800",
    lambda: b"\xff" * 10_000_000,
    lambda: "x" * 10_000_000,
    lambda: ["x" * 1000] * 100_000,
    lambda: {Hostile: Hostile(), 3: {None}},
    lambda: Unprintable("x"),
    lambda: ValueError("x" * 10_000_000),
    lambda: ApiError("x"),
    lambda: dict.fromkeys(range(100_000)),
]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.sampled_from(HOSTILE).map(lambda make: make()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=10,
)  # fmt: skip


@given(anything)
def test_any_value_becomes_short_json_data(value: Any) -> None:
    text = json.dumps(bounded(value), allow_nan=False)
    assert len(text) < 20 * MAX_TEXT
    assert isinstance(repr_of(value), str)


def test_common_values_do_not_change() -> None:
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": -(2**63)}, "d": []}
    assert bounded(value) == value
    assert bounded_event({"event": "x", "count": 3, "types": ["a", "b"]}) == {
        "event": "x",
        "count": 3,
        "types": ["a", "b"],
    }


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
def test_long_texts_lose_their_middle(size: int) -> None:
    text = "a" * (size // 2) + "b" * (size - size // 2)
    short = cut(text, 100)
    assert len(short) <= 100
    if size <= 100:
        assert short == text
    else:
        assert short[0] == "a"
        assert short[-1] == "b"
        assert f"({size - 100} characters left out)" in short


def test_a_value_that_raises_does_not_affect_the_others() -> None:
    assert bounded([1, Hostile(), 2])[::2] == [1, 2]
    assert bounded_event({"good": 1, "bad": Hostile()})["good"] == 1


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error):
        return error


def recursing(depth: int) -> None:
    recursing(depth + 1)


ERRORS: list[Callable[[], BaseException]] = [
    lambda: ApiError("x"),
    lambda: Unprintable("x"),
    lambda: SyntaxError("bad", ("f", 1, 1, b"text")),  # type: ignore[arg-type]
    lambda: KeyError("x" * 10_000_000),
    lambda: ValueError("x" * 10_000_000),
    lambda: ValueError(b"x" * 10_000_000, 1),
    lambda: ExceptionGroup("group", [ApiError("x") for _ in range(1000)]),
    lambda: nested_groups(200),
    lambda: wide_groups(20),
    lambda: chained(3000),
    lambda: with_notes(["x" * 10_000_000, Hostile()]),
    lambda: with_notes(Hostile()),
    lambda: OSError(2, "none", "x" * 10_000_000),
    lambda: UnicodeDecodeError("utf-8", b"\xff" * 100, 0, 1, "bad"),
    lambda: SystemExit(3),
]


def nested_groups(depth: int) -> BaseException:
    group: Exception = ValueError("innermost")
    for _ in range(depth):
        group = ExceptionGroup("group", [group, group])
    return group


def wide_groups(depth: int) -> BaseException:
    group: Exception = ValueError("innermost")
    for level in range(depth):
        group = ExceptionGroup(f"group {level}", [group] * 50)
    return group


def chained(length: int) -> BaseException:
    error = ValueError("first")
    for number in range(length):
        after = ValueError(number)
        after.__cause__ = error
        error = after
    return error


def with_notes(notes: Any) -> BaseException:
    error = ValueError("noted")
    error.__notes__ = notes
    return error


@pytest.mark.parametrize("make", ERRORS)
def test_any_exception_has_a_traceback(make: Callable[[], BaseException]) -> None:
    trace = format_error(raised(make()))
    assert trace.startswith(("Traceback (most recent call last):\n", "(earlier exceptions"))
    assert type(make()).__name__ in trace
    assert len(trace) <= MAX_TRACE


def fail_twice() -> None:
    try:
        int("x")
    except ValueError as first:
        first.add_note("a note")
        raise KeyError("second") from first


def test_a_traceback_is_the_one_that_python_prints() -> None:
    with pytest.raises(KeyError) as caught:
        fail_twice()
    usual = "".join(traceback.format_exception(caught.value)).splitlines()
    # Except for the marks below the lines: computing them costs more than all the rest.
    without_marks = [line for line in usual if not line or set(line) - set(" ^~")]
    assert format_error(caught.value).splitlines() == without_marks


def test_a_deep_traceback_keeps_its_first_and_last_frames() -> None:
    with pytest.raises(RecursionError) as caught:
        recursing(0)
    trace = format_error(caught.value)
    assert "frames are left out" in trace
    assert trace.splitlines()[-1].startswith("RecursionError: maximum recursion depth")


def test_circular_causes_end() -> None:
    first, second = ValueError("one"), ValueError("two")
    first.__context__, second.__context__ = second, first
    assert format_error(first).count("ValueError") == 2


def test_the_text_of_an_exception_is_that_of_str() -> None:
    for error in (
        ValueError(),
        ValueError("x"),
        ValueError("x", 1),
        KeyError("x"),
        OSError(2, "none"),
        ValueError(3),
    ):
        assert error_text(error).replace("[", "(").replace("]", ")") == str(error).replace("[", "(").replace(
            "]", ")"
        )


def test_a_recursion_error_while_logging_is_not_raised() -> None:
    limit = sys.getrecursionlimit()

    def deep(left: int) -> Any:
        return deep(left - 1) if left else bounded([[[[Hostile()]]]])

    for left in range(limit - 120, limit):
        try:
            deep(left)
        except RecursionError:
            break


def test_a_message_of_lone_surrogates_leaves_room_for_the_rest_of_the_traceback() -> None:
    trace = format_error(raised(ValueError("\udcff" * 10_000)))
    assert trace.startswith("Traceback (most recent call last):\n")
    assert len(trace.encode()) <= MAX_TRACE
    assert len(trace.splitlines()) > 2
