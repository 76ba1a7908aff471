"""JSON objects are converted to Struct and back; every limit is tested from both sides."""

import math
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.structs import (
    MAX_BYTES,
    MAX_DEPTH,
    StructError,
    StructTooLargeError,
    dict_to_struct,
    struct_to_dict,
)

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_a_json_object_is_unchanged_after_both_conversions(data: dict[str, Any]) -> None:
    assert struct_to_dict(dict_to_struct(data)) == data


@given(st.dictionaries(KEYS, JSON, max_size=5))
def test_the_struct_equals_the_one_that_protobuf_makes(data: dict[str, Any]) -> None:
    struct = dict_to_struct(data)
    assert struct == ParseDict(data, Struct())
    assert MessageToDict(struct) == struct_to_dict(struct)


def test_whole_numbers_become_integers_except_minus_zero() -> None:
    data = struct_to_dict(dict_to_struct({"three": 3.0, "half": 0.5, "minus_zero": -0.0, "large": 2.0**60}))
    assert [type(data[key]) for key in ("three", "half", "minus_zero", "large")] == [int, float, float, float]
    assert math.copysign(1, data["minus_zero"]) == -1


def levels_of(data: Any) -> int:
    if isinstance(data, dict):
        return 1 + max((levels_of(value) for value in data.values()), default=0)
    if isinstance(data, list):
        return 1 + max((levels_of(value) for value in data), default=0)
    return 0


@pytest.mark.parametrize("over", [0, 1])
def test_thirty_two_levels_are_allowed_and_thirty_three_are_not(over: int) -> None:
    data: Any = []
    for _ in range(MAX_DEPTH - 2 + over):
        data = {"x": data}
    data = {"y": data}
    assert levels_of(data) == MAX_DEPTH + over
    raw = ParseDict(data, Struct())
    if over:
        with pytest.raises(StructError, match="32 levels"):
            dict_to_struct(data)
        with pytest.raises(StructError, match="32 levels"):
            struct_to_dict(raw)
    else:
        assert struct_to_dict(dict_to_struct(data)) == data
        assert struct_to_dict(raw) == data


def test_one_mebibyte_is_allowed_and_a_byte_more_is_not() -> None:
    def struct_of(size: int) -> Struct:
        empty = Struct()
        empty.fields["x"].string_value = "a" * size
        return empty

    size = MAX_BYTES
    while struct_of(size).ByteSize() > MAX_BYTES:
        size -= 1
    assert struct_of(size).ByteSize() == MAX_BYTES
    assert struct_to_dict(struct_of(size)) == {"x": "a" * size}
    with pytest.raises(StructTooLargeError, match=f"is {MAX_BYTES + 1}"):
        struct_to_dict(struct_of(size + 1))
    with pytest.raises(StructTooLargeError):
        dict_to_struct({"x": "a" * (size + 1)})


@pytest.mark.parametrize(
    ("data", "path", "problem"),
    [
        ({"a": [1, {"b": math.nan}]}, "a[1].b", "finite"),
        ({"a": {"b": math.inf}}, "a.b", "finite"),
        ({"a": {1: 2}}, "a", "keys must be strings"),
        ({"a": [{1, 2}]}, "a[0]", "is of type set"),
        ({"a": 2**53 + 1}, "a", "2\\^53"),
        ({"a": "\ud800"}, "a", "surrogate"),
        ({"a": {"n\0": 1}}, "a.n\0", "NUL"),
        ({"a": b"raw"}, "a", "is of type bytes"),
    ],
)
def test_values_that_json_cannot_hold_are_refused_with_their_path(
    data: dict[Any, Any], path: str, problem: str
) -> None:
    with pytest.raises(StructError, match=problem) as caught:
        dict_to_struct(data)
    assert caught.value.path == path


def test_values_that_only_protobuf_can_hold_are_refused_with_their_path() -> None:
    struct = Struct()
    struct.fields["a"].list_value.values.add()
    with pytest.raises(StructError, match="must have a value") as caught:
        struct_to_dict(struct)
    assert caught.value.path == "a[0]"
    struct.fields["a"].number_value = math.nan
    with pytest.raises(StructError, match="finite"):
        struct_to_dict(struct)
