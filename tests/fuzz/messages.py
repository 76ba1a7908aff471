"""Messages of any type, made from its descriptor, so that additions to the contract are fuzzed too."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from tests.fuzz.examples import EXAMPLES
from tests.fuzz.scalars import WAITS, durations, rules_of, scalars, times
from tests.fuzz.structs import structs
from tests.fuzz.texts import pick

CHANGES = (0, 1, 1, 1, 1, 2, 2)
CHANGES_INSIDE = (0, 0, 0, 0, 1)
"""How many fields of an example are changed. One of these numbers is chosen at random.

In an inner message there are fewer changes, because one fault is enough for the whole message.
"""
MAX_FULL = 1000
"""Lists with a higher limit are not filled up to it here, because that takes too long."""


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, changes: Sequence[int] = CHANGES) -> Message:
    """Either an example with one or two changed fields, or a message with random fields."""
    kind = GetMessageClass(descriptor)
    message = kind()
    examples = EXAMPLES.get(kind)
    if examples and draw(st.integers(0, 9)):
        message.CopyFrom(draw(pick(examples)))
        count = draw(st.sampled_from(changes))
        # Fields that are set are changed more often, because the result is more likely to fit together.
        fields = [field for field, _ in message.ListFields()] * 3 + list(descriptor.fields)
        changed = draw(st.lists(st.sampled_from(fields), min_size=count, max_size=count))
    else:
        changed = [field for field in descriptor.fields if draw(st.booleans())]
    for field in changed:
        draw(fillings(message, field))
    return message


@st.composite
def fillings(draw: st.DrawFn, message: Message, field: Field) -> None:
    """Change a field of the message, or clear it."""
    message.ClearField(field.name)
    if not draw(st.integers(0, 7)):
        return
    rules = rules_of(field)
    if is_map(field):
        _fill_map(draw, getattr(message, field.name), field, rules.map)
    elif field.is_repeated:
        items = values(field, rules.repeated.items)
        limit = rules.repeated.max_items
        full = 0 < limit <= MAX_FULL and not draw(st.integers(0, 9))
        drawn = (
            [draw(items)] * (limit + draw(st.integers(0, 1))) if full else draw(st.lists(items, max_size=3))
        )
        getattr(message, field.name).extend(drawn)
    elif field.message_type:
        part: Message = getattr(message, field.name)
        part.SetInParent()
        part.CopyFrom(draw(values(field, rules)))
    else:
        setattr(message, field.name, draw(values(field, rules)))


def values(field: Field, rules: Any) -> st.SearchStrategy[Any]:
    """Values of a field, or of one item of it, with these `rules`."""
    if field.message_type is None:
        return scalars(field, rules)
    match field.message_type.full_name:
        case Struct.DESCRIPTOR.full_name:
            return structs()
        case Timestamp.DESCRIPTOR.full_name:
            return times()
        case Duration.DESCRIPTOR.full_name:
            return pick(WAITS) if field.name == "wait" else durations(rules)
        case _:
            return messages(field.message_type, CHANGES_INSIDE)


def _fill_map(draw: st.DrawFn, target: Any, field: Field, rules: Any) -> None:
    key_field, value_field = parts_of_map(field)
    entries = draw(
        st.dictionaries(values(key_field, rules.keys), values(value_field, rules.values), max_size=3)
    )
    if rules.max_pairs and not draw(st.integers(0, 9)):
        count = rules.max_pairs + draw(st.integers(0, 1))
        entries = {f"k{number}": draw(values(value_field, rules.values)) for number in range(count)}
    for key, value in entries.items():
        if value_field.message_type:
            target[key].CopyFrom(value)
        else:
            target[key] = value


def is_map(field: Field) -> bool:
    """Whether the field is a map. In the descriptor a map is a list of entries."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def parts_of_map(field: Field) -> tuple[Field, Field]:
    """The key and the value of a map's entries."""
    assert field.message_type
    return field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
