"""Fields that occur twice in the bytes of a message."""

import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from service_runtime.repeated_fields import list_field, repeated_field

Create = job_service_pb2.CreateRequest


def found(*parts: Message) -> str:
    """The result for the concatenated parts, which protobuf reads as one message."""
    raw = b"".join(part.SerializeToString() for part in parts)
    return repeated_field(raw, type(parts[0]).FromString(raw))


def payload(**content: float | str) -> Struct:
    struct = Struct()
    struct.update(content)
    return struct


FULL = Create(
    id="0198f0a0-0000-7000-8000-000000000001",
    type="compute",
    payload=payload(a=1, b="two"),
    labels={"a": "1", "b": "2"},
    retry_policy=job_pb2.RetryPolicy(max_attempts=3, jitter=0.5),
)


def test_fields_that_occur_once_are_accepted() -> None:
    assert found(FULL) == ""
    assert found(job_service_pb2.BatchCreateRequest(requests=[FULL, FULL])) == ""
    assert found(Create()) == ""


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        (Create(type="compute"), Create(type="data"), "type"),
        (Create(type="compute"), Create(type="compute"), "type"),
        (Create(payload=payload(a=1)), Create(payload=payload(b=1)), "payload"),
        (Create(payload=payload()), Create(payload=payload()), "payload"),
        (job_service_pb2.ListRequest(page_size=5), job_service_pb2.ListRequest(page_size=300), "page_size"),
        (job_pb2.RetryPolicy(jitter=0.1), job_pb2.RetryPolicy(jitter=0.1), "jitter"),
    ],
)
def test_a_singular_field_that_occurs_twice_is_named(first: Message, second: Message, path: str) -> None:
    assert found(first, second) == path


@pytest.mark.parametrize(
    ("name", "several"), [("status", "statuses"), ("type", "types"), ("page_size", ""), ("labels", "")]
)
def test_the_field_for_several_values_is_known(name: str, several: str) -> None:
    assert list_field(job_service_pb2.ListRequest.DESCRIPTOR, name) == several


def test_repeated_fields_and_maps_are_accepted() -> None:
    assert found(Create(labels={"a": "1"}), Create(labels={"b": "1"})) == ""
    assert found(*[job_service_pb2.ListRequest(labels=["a=1"])] * 3) == ""


def test_a_nested_field_is_named_by_its_path() -> None:
    twice = FULL.SerializeToString() + Create(payload=payload(c=1)).SerializeToString()
    once = FULL.SerializeToString()
    raw = b"".join(
        b"\x0a" + bytes([len(item) & 0x7F | 0x80, len(item) >> 7]) + item for item in (once, twice)
    )
    assert repeated_field(raw, job_service_pb2.BatchCreateRequest.FromString(raw)) == "requests[1].payload"


def test_an_explicit_default_value_is_accepted() -> None:
    raw = FULL.SerializeToString() + b"\x12\x07compute"
    assert repeated_field(raw, Create.FromString(raw)) == "type"
    raw = b"\x0a\x00\x12\x00" + Create(payload=payload(a=1)).SerializeToString()
    assert repeated_field(raw, Create.FromString(raw)) == ""


@given(st.binary(max_size=60))
def test_all_bytes_that_can_be_decoded_can_be_searched(noise: bytes) -> None:
    raw = b"\x12\x00" + noise
    try:
        message = Create.FromString(raw)
    except DecodeError:
        return
    repeated_field(raw, message)
