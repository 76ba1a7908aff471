"""JSON bodies: messages of the contract as JSON, and damaged JSON texts."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from tests.fuzz.messages import is_map, parts_of_map
from tests.fuzz.roles import SURROGATE
from tests.fuzz.texts import pick


@dataclass
class Object:
    """A JSON object as text, so that a key may occur twice. Each pair is a key and a value."""

    pairs: list[list["Node"]]


Node = Object | list[Any] | str
"""A str is JSON text."""


def tree(message: Message, name: Callable[[Field], str] = lambda field: field.json_name) -> Node:
    """The message as JSON, even if proto JSON cannot express it. `name` returns the keys."""
    match message:
        case Struct():
            return Object([[text(key), tree(value)] for key, value in message.fields.items()])
        case ListValue():
            return [tree(value) for value in message.values]
        case Value():
            return _value(message)
        case Timestamp() | Duration():
            try:
                return text(message.ToJsonString())
            except ValueError:
                unit = "s" if isinstance(message, Duration) else "Z"
                return text(f"{message.seconds}.{message.nanos}{unit}")
        case _:
            return Object(
                [[text(name(field)), _field(field, value, name)] for field, value in message.ListFields()]
            )


def _value(value: Value) -> Node:
    match value.WhichOneof("kind"):
        case "struct_value":
            return tree(value.struct_value)
        case "list_value":
            return tree(value.list_value)
        case "string_value":
            return text(value.string_value)
        case "number_value":
            return json.dumps(value.number_value)
        case "bool_value":
            return json.dumps(value.bool_value)
        case _:
            return "null"


def _field(field: Field, value: Any, name: Callable[[Field], str]) -> Node:
    if is_map(field):
        _, item = parts_of_map(field)
        return Object([[text(str(key)), _scalar(item, each, name)] for key, each in value.items()])
    if field.is_repeated:
        return [_scalar(field, each, name) for each in value]
    return _scalar(field, value, name)


def _scalar(field: Field, value: Any, name: Callable[[Field], str]) -> Node:
    if field.message_type:
        return tree(value, name)
    if field.enum_type:
        known = field.enum_type.values_by_number.get(value)
        return text(known.name) if known else str(value)
    if isinstance(value, bytes):
        return text(base64.b64encode(value).decode())
    return text(value) if isinstance(value, str) else json.dumps(value)


def text(content: str) -> str:
    """A JSON string."""
    return json.dumps(content, ensure_ascii=False)


def dump(node: Node) -> str:
    match node:
        case Object(pairs):
            return "{" + ",".join(f"{dump(key)}:{dump(value)}" for key, value in pairs) + "}"
        case list():
            return "[" + ",".join(dump(item) for item in node) + "]"
        case _:
            return node


ODD_NODES = (
    "null",
    "true",
    "0",
    "-0",
    "-1",
    "1.5",
    "1e400",
    "-1e400",
    "1e-400",
    "9007199254740993",
    "18446744073709551616",
    "1" + "0" * 400,
    "-" + "9" * 20_000,
    "0." + "3" * 20_000,
    "NaN",
    "-Infinity",
    "0x10",
    "01",
    "1.",
    "+1",
    "''",
    '""',
    '"0"',
    '"null"',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\x41"',
    '"\\u12"',
    '"a\nb"',
    f'"{SURROGATE}"',
    '"2026-13-45T25:61:61Z"',
    '"0000-01-01T00:00:00Z"',
    '"2026-01-01T00:00:00.1234567891Z"',
    '"1e3s"',
    '"-0.000000001s"',
    '"315576000001s"',
    "[]",
    "{}",
    "[[]]",
    "[null]",
    '{"a":1}',
    '{"@type":"type.googleapis.com/jobs.v1.Job"}',
    '{"$ref":"jobs","$id":1}',
    "[" * 33 + "]" * 33,
    '{"d":' * 120 + "1" + "}" * 120,
    "[" * 5000 + "]" * 5000,
    "[" * 5000,
    "",
    "undefined",
)
ODD_KEYS = (
    '"nope"',
    '""',
    '"id"',
    '"$where"',
    '"a.b"',
    '"__proto__"',
    '"\\u0000"',
    '"\\ud800"',
    f'"{SURROGATE}"',
    '"[jobs.v1.ext]"',
    "nope",
    "1",
    "null",
    "",
)


@st.composite
def damaged(draw: st.DrawFn, root: Node) -> Node:
    """The tree with one node replaced, doubled, renamed or added."""
    top = [root]
    target, index = draw(st.sampled_from(list(_positions(top, 0))))
    odd = draw(pick(ODD_NODES))
    key = draw(pick(ODD_KEYS))
    below = target[index]
    match draw(st.integers(0, 4)), below:
        case 0, Object(pairs) if pairs:
            pairs.append([pairs[0][0], odd])
        case 1, Object(pairs) if pairs:
            pairs[0][0] = key
        case 2, Object(pairs):
            pairs.append([key, odd])
        case 3, list():
            below.append(odd)
        case _:
            target[index] = odd
    return top[0]


def _positions(holder: list[Any], index: int) -> Iterator[tuple[list[Any], int]]:
    """The position of each value, from the outermost inwards."""
    yield holder, index
    match holder[index]:
        case Object(pairs):
            for pair in pairs:
                yield from _positions(pair, 1)
        case list() as items:
            for each in range(len(items)):
                yield from _positions(items, each)


TEXT_DAMAGES: tuple[Callable[[bytes, int], bytes], ...] = (
    lambda body, position: body[:position],
    lambda body, position: body[:position] + b"\xff" + body[position:],
    lambda body, position: body[:position] + b"\0" + body[position:],
    lambda body, position: body[:position] + b"/* x */" + body[position:],
    lambda body, _: body + body,
    lambda body, _: body + b",",
    lambda body, _: b"[" + body + b"]",
    lambda body, _: json.dumps(body.decode(errors="replace")).encode(),
    lambda body, _: b"\xef\xbb\xbf" + body,
    lambda body, _: body.decode(errors="replace").encode("utf-16"),
    lambda body, _: b" \n\t" * 1000 + body,
)
OTHER_BODIES = (b"", b" ", b"null", b"[]", b'"x"', b"0", b"{", b"\0", b"a=b&c=d", b"<a/>", b"\xff" * 30)


@st.composite
def bodies(draw: st.DrawFn, message: Message) -> bytes:
    """The message as JSON: correct, or damaged."""
    chance = draw(st.integers(0, 9))
    if chance == 9:
        return draw(st.sampled_from(OTHER_BODIES) | st.binary(max_size=30))
    original_names = draw(st.booleans())
    node = tree(message, (lambda field: field.name) if original_names else (lambda field: field.json_name))
    if chance in (6, 7):
        node = draw(damaged(node))
    body = dump(node).encode()
    if chance == 8:
        position = draw(st.integers(0, min(len(body), 200)))
        body = draw(st.sampled_from(TEXT_DAMAGES))(body, position)
    return body
