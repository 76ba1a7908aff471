"""Values of single fields, made from the contract's rules: inside each limit, at it, and beyond it."""

import time
from typing import Any

from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from job_client._gen.jobs._validate import validate_pb2
from tests.conftest import UNWORKED
from tests.fuzz import roles
from tests.fuzz.texts import integers_near, odd_text, pick, some_number, some_text, texts_near

INTEGERS = {
    Field.TYPE_INT32: (-(2**31), 2**31 - 1),
    Field.TYPE_SINT32: (-(2**31), 2**31 - 1),
    Field.TYPE_SFIXED32: (-(2**31), 2**31 - 1),
    Field.TYPE_UINT32: (0, 2**32 - 1),
    Field.TYPE_FIXED32: (0, 2**32 - 1),
    Field.TYPE_INT64: (-(2**63), 2**63 - 1),
    Field.TYPE_SINT64: (-(2**63), 2**63 - 1),
    Field.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
    Field.TYPE_UINT64: (0, 2**64 - 1),
    Field.TYPE_FIXED64: (0, 2**64 - 1),
}
JOB_IDS = (
    *(role.stand_in for role in roles.JobRole),
    *(role.upper_case for role in roles.JobRole),
    *roles.NEW_IDS,
    roles.ABSENT_JOB,
)
FITTING_TEXTS: dict[str, tuple[str, ...]] = {
    "worker_ids": (roles.WORKER_ID, roles.OTHER_WORKER_ID),
    "worker_id": (roles.WORKER_ID, roles.OTHER_WORKER_ID),
    "ids": JOB_IDS,
    "id": JOB_IDS,
    "type": ("compute", "data", "file", "blockchain", UNWORKED),
    "worker": (roles.WORKER_NAME, "worker-1"),
    "name": (roles.WORKER_NAME, "fuzz-too"),
    "page_token": (roles.PAGE_TOKEN,),
    "labels": ("team=a", "team=b", "run="),
    "label_keys": ("team", "run"),
    "types": ("compute", "data", UNWORKED),
    "error_reasons": ("BROKEN", "CANCELLED", "UNKNOWN"),
}
"""Texts with a meaning for the server, by the end of a field's name. The first match counts."""
NOW = int(time.time())
TIMES = (
    *(
        Timestamp(seconds=NOW + offset)
        for offset in (-86_400, -60, -1, 0, 1, 60, 3600, 366 * 86_400, 367 * 86_400)
    ),
    Timestamp(),
    Timestamp(nanos=999_999_999),
    Timestamp(seconds=-62_135_596_800),
    Timestamp(seconds=-62_135_596_801),
    Timestamp(seconds=253_402_300_799, nanos=999_999_999),
    Timestamp(seconds=253_402_300_800),
    Timestamp(seconds=2**63 - 1),
    Timestamp(seconds=-(2**63)),
    Timestamp(seconds=NOW, nanos=-1),
    Timestamp(seconds=NOW, nanos=10**9),
    Timestamp(seconds=NOW, nanos=2**31 - 1),
)
DURATIONS = (
    Duration(),
    Duration(nanos=1),
    Duration(nanos=-1),
    Duration(seconds=1),
    Duration(seconds=1, nanos=999_999_999),
    Duration(seconds=1, nanos=-1),
    Duration(seconds=-1, nanos=1),
    Duration(nanos=10**9),
    Duration(nanos=-(2**31)),
    Duration(seconds=315_576_000_000),
    Duration(seconds=315_576_000_001),
    Duration(seconds=2**63 - 1, nanos=2**31 - 1),
    Duration(seconds=-(2**63), nanos=-(2**31)),
)
WAITS = tuple(
    Duration(seconds=seconds, nanos=nanos)
    for seconds, nanos in ((0, 0), (0, 1), (0, 50_000_000), (0, -1), (3600, 1), (2**63 - 1, 0))
)
"""Waits that are short, or out of range. A long one would only take time."""


def rules_of(field: Field) -> Any:
    """The protovalidate rules of a field."""
    return field.GetOptions().Extensions[validate_pb2.field]


def scalars(field: Field, rules: Any) -> st.SearchStrategy[Any]:
    """Values of a scalar field, or of one item of it, with these `rules`."""
    if field.type in INTEGERS:
        low, high = INTEGERS[field.type]
        return integers_near(low, high, *_limits(rules))
    match field.type:
        case Field.TYPE_STRING:
            return _texts(field, rules.string)
        case Field.TYPE_BYTES:
            return st.binary(max_size=40)
        case Field.TYPE_BOOL:
            return st.booleans()
        case Field.TYPE_ENUM:
            assert field.enum_type
            numbers = [value.number for value in field.enum_type.values]
            unknown = [max(numbers) + 1, -1, 2**31 - 1, -(2**31)]
            return st.sampled_from(numbers) | st.sampled_from(numbers + unknown)
        case _:
            return (
                st.sampled_from([0.0, *(limit + step for limit in _limits(rules) for step in NEAR)])
                | some_number
            )


NEAR = (0.0, 1e-9, -1e-9)


def _limits(rules: Any) -> list[Any]:
    """The numbers in the rules of a numeric field."""
    kind = rules.WhichOneof("type")
    if kind is None or kind == "enum":
        return []
    return [limit for _, limit in getattr(rules, kind).ListFields() if isinstance(limit, int | float)]


def _texts(field: Field, rules: Any) -> st.SearchStrategy[str]:
    fitting = next((texts for end, texts in FITTING_TEXTS.items() if field.name.endswith(end)), ())
    kinds = [some_text, odd_text]
    if fitting:
        kinds += [st.sampled_from(fitting)] * 6
    if rules.pattern:
        # The text may end with a newline, because `$` matches before it in some engines.
        kinds.append(st.from_regex(rules.pattern, alphabet=st.characters(codec="utf-8")))
    if rules.max_len:
        kinds.append(texts_near(rules.max_len))
    return st.one_of(kinds)


def times() -> st.SearchStrategy[Timestamp]:
    return pick(TIMES)


def durations(rules: Any) -> st.SearchStrategy[Duration]:
    """Durations around the limits of the rules, and far outside."""
    limits = [limit for _, limit in rules.duration.ListFields() if isinstance(limit, Duration)]
    near = [
        Duration(seconds=limit.seconds, nanos=limit.nanos + step) for limit in limits for step in (-1, 0, 1)
    ]
    return pick([*near, *DURATIONS])
