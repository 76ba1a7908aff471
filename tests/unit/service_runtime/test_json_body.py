"""The text of a JSON body."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.json_body import Misfit, Twice, parse

DIGITS_OF_INT = 4300
"""The most digits that Python's int() takes."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_json_is_parsed_as_it_is(data: dict[str, object]) -> None:
    assert parse(json.dumps(data).encode()) == data
    assert parse(json.dumps(data, ensure_ascii=False).encode(errors="surrogatepass")) == data


def test_no_body_is_an_empty_object() -> None:
    assert parse(b"") == parse(b" {} ") == {}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"{bad", "line 1, column 2"),
        (b'{"a": 1}\n{"b": 2}', "line 2, column 1: Extra data"),
        (b'{"a": 1,}', "line 1"),
        (b"{'a': 1}", "line 1, column 2"),
        (b"{a: 1}", "line 1, column 2"),
        (b'{"a": 01}', "line 1"),
        (b'{"a": /* x */ 1}', "line 1"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON value"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a": "\xff"}', "byte 8 is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "byte 1 is not UTF-8"),
        (b" ", "line 1"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": %s}' % (b"9" * (DIGITS_OF_INT + 1)), "too many digits"),
        (b"[]", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b"null", "must be a JSON object"),
    ],
)
def test_anything_else_is_refused_and_the_place_is_named(body: bytes, problem: str) -> None:
    with pytest.raises(Misfit) as caught:
        parse(body)
    assert (caught.value.rule, caught.value.path) == ("body.json", "")
    assert problem in caught.value.problem


def test_an_object_with_a_key_twice_is_marked() -> None:
    inner = parse(b'{"a": [{"x": 1, "y": 2, "x": 3}]}')["a"][0]

    assert type(inner) is Twice
    misfit = inner.misfit().inside(0).inside("a")
    assert (misfit.path, misfit.rule) == ("a[0].x", "field.once")


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ud80-0e1.tnNI', max_size=40).map(str.encode))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    try:
        assert isinstance(parse(body), dict)
    except Misfit as error:
        str(error).encode()
