"""JSON objects as google.protobuf.Struct: ordinary ones, and ones that only protobuf can express."""

from collections.abc import Callable

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Struct, Value
from hypothesis import strategies as st

from contract_runtime.structs import MAX_BYTES, MAX_DEPTH
from tests.fuzz.texts import any_text, odd_text, some_number, some_text

HANDLER_KEYS = ("input", "algorithm", "path", "transactions", "header", "records", "csv", "group_by")
"""The keys that the built-in handlers read."""
HANDLER_TEXTS = ("sha256", "haiku.txt", "a,b\n1,2\n", "ab" * 32, "00" * 80, "x")
DECODED_DEPTH = 45
"""About the number of levels that protobuf decodes."""


def object_of(fields: dict[str, Value]) -> Struct:
    struct = Struct()
    for key, item in fields.items():
        struct.fields[key].CopyFrom(item)
    return struct


def list_of(items: list[Value]) -> Value:
    return Value(list_value=ListValue(values=items))


def deep(levels: int, *, lists: bool) -> Struct:
    """An object with this number of levels, including itself. `lists`: the inner levels are lists."""
    value = Value(number_value=1)
    for _ in range(levels - 1):
        value = list_of([value]) if lists else Value(struct_value=object_of({"d": value}))
    return object_of({"d": value})


def wide(count: int) -> Struct:
    return object_of({f"k{number}": Value(bool_value=True) for number in range(count)})


def large(size: int) -> Struct:
    """An object of exactly `size` bytes. `size` must be large."""
    surplus = object_of({"input": Value(string_value="x" * size)}).ByteSize() - size
    return object_of({"input": Value(string_value="x" * (size - surplus))})


EXTREMES: tuple[Callable[[], Struct], ...] = (
    lambda: deep(MAX_DEPTH, lists=False),
    lambda: deep(MAX_DEPTH, lists=True),
    lambda: deep(MAX_DEPTH + 1, lists=False),
    lambda: deep(MAX_DEPTH + 1, lists=True),
    lambda: deep(DECODED_DEPTH, lists=True),
    lambda: wide(2000),
    lambda: large(MAX_BYTES),
    lambda: large(MAX_BYTES + 1),
)

keys = st.sampled_from((*HANDLER_KEYS, "$ref", "$id", "$db")) | any_text | odd_text
leaves: st.SearchStrategy[Value] = (
    st.builds(Value, string_value=some_text | st.sampled_from(HANDLER_TEXTS))
    | st.builds(Value, number_value=some_number)
    | st.builds(Value, bool_value=st.booleans())
    | st.builds(Value, null_value=st.just(NULL_VALUE))
    | st.builds(Value)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Value, struct_value=st.dictionaries(keys, inner, max_size=3).map(object_of))
        | st.lists(inner, max_size=3).map(list_of)
    ),
    max_leaves=8,
)
ordinary_objects = st.dictionaries(
    st.sampled_from(HANDLER_KEYS), st.builds(Value, string_value=st.sampled_from(HANDLER_TEXTS)), max_size=3
).map(object_of)
odd_objects = st.dictionaries(keys, values, max_size=4).map(object_of)
extreme_objects = st.sampled_from(EXTREMES).map(lambda make: make())


@st.composite
def structs(draw: st.DrawFn) -> Struct:
    """Ordinary objects often, extreme ones rarely, because they are large."""
    chance = draw(st.integers(0, 19))
    if chance == 19:
        return draw(extreme_objects)
    return draw(odd_objects if chance >= 8 else ordinary_objects)
