"""Texts and numbers that often cause errors."""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st

from tests.fuzz.roles import SURROGATE

ODD_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\n",
    "\r\nx: y",
    "\x1b[31m",
    "\x7f",
    "\x85\u2028\u2029",
    "\ufeff",
    "\uffff",
    SURROGATE,
    f"a{SURROGATE}{SURROGATE}",
    "\u202eabc",
    "e\u0301",
    "\U0001f600" * 40,
    "\U0010ffff",
    "$",
    "$where",
    "$ref",
    "$$NOW",
    "a.b",
    ".",
    "..",
    "../../etc/passwd",
    "_id",
    "__proto__",
    "@type",
    "null",
    "NaN",
    "true",
    "0",
    "-1",
    "1e400",
    "%",
    "%00",
    "%s%n",
    "{}",
    "{0.__class__}",
    "' or 1=1 --",
    "x" * 64,
    "x" * 129,
    "x" * 1025,
    "\u00e9" * 5000,
    "x" * 70_000,
)
ODD_NUMBERS = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    2.0**31,
    2.0**53,
    2.0**53 + 2,
    2.0**63,
    -(2.0**63),
    2.0**64,
    1e21,
    1.7976931348623157e308,
    5e-324,
    float("inf"),
    float("-inf"),
    float("nan"),
)

T = TypeVar("T")


def pick(values: Sequence[T]) -> st.SearchStrategy[T]:
    """One of the values.

    Unlike st.sampled_from, hypothesis does not print all values, of which some are long.
    """

    @st.composite
    def picked(draw: st.DrawFn) -> T:
        return values[draw(st.integers(0, len(values) - 1))]

    return picked()


any_text = st.text(max_size=12)
odd_text = pick(ODD_TEXTS)
some_text = any_text | odd_text
some_number = st.sampled_from(ODD_NUMBERS) | st.floats() | st.integers(-(2**53), 2**53).map(float)


def integers_near(low: int, high: int, *limits: int) -> st.SearchStrategy[int]:
    """Integers from `low` to `high`: both ends, integers near `limits`, small ones, and any."""
    near = {low, high, 0, 1, 2, -1}
    near.update(limit + step for limit in limits for step in (-1, 0, 1))
    return st.sampled_from(sorted(number for number in near if low <= number <= high)) | st.integers(
        low, high
    )


def texts_near(limit: int) -> st.SearchStrategy[str]:
    """Texts of `limit` and `limit` + 1 characters, which have one or several bytes."""
    return st.builds(
        lambda character, over: character * (limit + over),
        st.sampled_from("a\u20ac\U0001f600"),
        st.integers(0, 1),
    )
