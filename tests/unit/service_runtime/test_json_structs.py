"""JSON objects as the bytes of a Struct."""

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.structs import MAX_BYTES, MAX_DEPTH, MAX_EXACT_INTEGER, dict_to_struct
from service_runtime.json_body import Misfit, parse
from service_runtime.json_structs import struct_bytes

text = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_EXACT_INTEGER, MAX_EXACT_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(text.filter(lambda key: "\0" not in key), values, max_size=4))
def test_the_bytes_are_those_of_the_struct(data: dict[str, Any]) -> None:
    assert Struct.FromString(struct_bytes(data)) == as_struct(data)


def as_struct(data: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(data)
    return struct


@pytest.mark.parametrize("length", [127, 128, 16_383, 16_384, 70_000])
def test_lengths_of_any_size_are_written(length: int) -> None:
    data = {"k" * length: ["x" * length, {"a": "y" * length}]}
    assert Struct.FromString(struct_bytes(data)) == dict_to_struct(data)


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"d": data}
    return data


@pytest.mark.parametrize(
    ("data", "path", "rule"),
    [
        ({"a": [{"n": MAX_EXACT_INTEGER + 1}]}, "a[0].n", "number.exact"),
        ({"n": -MAX_EXACT_INTEGER - 1}, "n", "number.exact"),
        (parse(b'{"n": 1e400}'), "n", "number.finite"),
        (parse(b'{"s": ["\\ud800"]}'), "s[0]", "text.unicode"),
        (parse(b'{"\\ud800": 1}'), "?", "text.unicode"),
        (parse(b'{"o": {"a": 1, "a": 2}}'), "o.a", "field.once"),
        (nested(MAX_DEPTH + 1), ".".join("d" * MAX_DEPTH), "struct.json"),
        ({"s": "x" * MAX_BYTES}, "", "struct.json"),
        ({"l": [[0] * 50_000] * 10}, "l", "struct.json"),
    ],
)
def test_what_cannot_be_stored_is_refused_with_its_path(data: dict[str, Any], path: str, rule: str) -> None:
    with pytest.raises(Misfit) as caught:
        struct_bytes(data)
    assert (caught.value.path, caught.value.rule) == (path, rule)


def test_what_is_at_the_limits_is_accepted() -> None:
    struct_bytes({"n": MAX_EXACT_INTEGER, "m": -MAX_EXACT_INTEGER})
    struct_bytes(nested(MAX_DEPTH))
    overhead = len(struct_bytes({"s": "x" * 300_000})) - 300_000
    assert len(struct_bytes({"s": "x" * (MAX_BYTES - overhead)})) <= MAX_BYTES
