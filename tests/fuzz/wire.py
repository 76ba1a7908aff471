"""Valid, damaged and invalid bytes of protobuf messages."""

from collections.abc import Callable

from google.protobuf.message import Message
from hypothesis import strategies as st

VARINT, FIXED64, LENGTH, START_GROUP, END_GROUP, FIXED32 = range(6)


def varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def tag(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def field(number: int, content: bytes) -> bytes:
    """A field with a length: a string, bytes or a message."""
    return tag(number, LENGTH) + varint(len(content)) + content


def deep_struct(levels: int) -> bytes:
    """A google.protobuf.Struct of `levels` levels, more than protobuf itself would write."""
    value = field(3, b"x")
    for _ in range(levels):
        value = field(5, field(1, field(1, b"k") + field(2, value)))
    return field(1, field(1, b"k") + field(2, value))


numbers = st.integers(1, 20) | st.sampled_from([2**29 - 1, 2**28])
stray_fields = st.one_of(
    st.builds(lambda number, value: tag(number, VARINT) + varint(value), numbers, st.integers(0, 2**64 - 1)),
    st.builds(lambda number: tag(number, VARINT) + b"\xff" * 9 + b"\x01", numbers),  # -1, in ten bytes
    st.builds(lambda number: tag(number, VARINT) + b"\xff" * 11 + b"\x01", numbers),  # too long for a varint
    st.builds(lambda number, raw: tag(number, FIXED64) + raw, numbers, st.binary(min_size=8, max_size=8)),
    st.builds(lambda number, raw: tag(number, FIXED32) + raw, numbers, st.binary(min_size=4, max_size=4)),
    st.builds(field, numbers, st.binary(max_size=20)),
    st.builds(
        field, numbers, st.sampled_from([b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"])
    ),
    st.builds(lambda number: tag(number, LENGTH) + varint(2**31 - 1), numbers),
    st.builds(
        lambda number, depth: tag(number, START_GROUP) * depth, numbers, st.sampled_from([1, 99, 2000])
    ),
    st.builds(lambda number: tag(number, START_GROUP) + tag(number, END_GROUP), numbers),
    st.builds(lambda number: tag(number, END_GROUP), numbers),
    st.builds(lambda number: tag(number, 6), numbers),  # no such wire type
    st.builds(
        lambda number, levels: field(number, deep_struct(levels)), numbers, st.sampled_from([20, 40, 200])
    ),
    st.just(tag(0, VARINT) + b"\x01"),  # no such field number
)


@st.composite
def broken(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> bytes:
    """The damaged bytes of a message."""
    raw = draw(messages).SerializeToString()
    position = draw(st.integers(0, min(len(raw), 200)))
    damages: list[Callable[[], bytes]] = [
        lambda: raw + draw(stray_fields),
        lambda: draw(stray_fields) + raw,
        lambda: raw[:position],
        lambda: raw[:position] + draw(st.binary(min_size=1, max_size=4)) + raw[position:],
        lambda: raw[:position] + draw(st.binary(min_size=1, max_size=1)) + raw[position + 1 :],
        lambda: raw + draw(messages).SerializeToString(),
        lambda: draw(st.binary(max_size=40)),
    ]
    return draw(st.sampled_from(damages))()


@st.composite
def wire(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> bytes:
    """The bytes of a message, sometimes damaged."""
    if draw(st.integers(0, 4)):
        return draw(messages).SerializeToString()
    return draw(broken(messages))
