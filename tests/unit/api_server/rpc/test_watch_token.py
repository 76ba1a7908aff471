"""Resume tokens: they return what was put in, and only for the same jobs."""

import base64
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.changes import WatchFilter
from api_server.domain.job import Status
from api_server.rpc.watch_token import decode_place, decode_position, encode
from api_server.services.watch_events import BEGIN, JobPlace
from contract_runtime.errors import InvalidArgument

JOB = UUID(int=1)
FILTER = WatchFilter(frozenset({Status.QUEUED}), frozenset({"data"}), {"a": "b"})
POSITION = "826B0B82D2000000142B0229296E04"

numbers = st.integers(0, 2**31 - 1)
positions = st.binary(min_size=9, max_size=200).map(lambda raw: f"82{raw.hex().upper()}")


@given(numbers)
def test_a_revision_comes_back(revision: int) -> None:
    assert decode_place(encode(JobPlace(revision), JOB), JOB) == JobPlace(revision)


@given(numbers, numbers)
def test_a_place_in_the_log_comes_back(revision: int, number: int) -> None:
    token = encode(JobPlace(revision, number), JOB)
    assert decode_place(token, JOB, has_log=True) == JobPlace(revision, number)
    assert decode_place(token, JOB) == JobPlace(revision)


def test_a_token_of_a_watch_without_the_log_stands_at_the_begin_of_the_log() -> None:
    assert decode_place(encode(JobPlace(7), JOB), JOB, has_log=True) == JobPlace(7, 0)


@given(positions)
def test_a_position_comes_back(position: str) -> None:
    assert decode_position(encode(position, FILTER), FILTER) == position


def test_no_token_is_the_begin() -> None:
    assert encode(None, FILTER) == ""
    assert decode_position("", FILTER) is None
    assert decode_place("", JOB) == BEGIN
    assert decode_place("", JOB, has_log=True) == JobPlace(0, 0)


@pytest.mark.parametrize(
    "other",
    [
        WatchFilter(),
        WatchFilter(frozenset({Status.FAILED}), frozenset({"data"}), {"a": "b"}),
        WatchFilter(frozenset({Status.QUEUED}), frozenset({"file"}), {"a": "b"}),
        WatchFilter(frozenset({Status.QUEUED}), frozenset({"data"}), {"a": "c"}),
    ],
)
def test_a_token_belongs_to_its_filter(other: WatchFilter) -> None:
    with pytest.raises(InvalidArgument, match="resume_token: belongs to a watch of other jobs"):
        decode_position(encode(POSITION, FILTER), other)


def test_a_token_belongs_to_its_job() -> None:
    with pytest.raises(InvalidArgument, match="other jobs"):
        decode_place(encode(JobPlace(1), JOB), UUID(int=2))


def test_the_order_of_a_filter_does_not_matter() -> None:
    both = WatchFilter(frozenset({Status.QUEUED, Status.FAILED}), frozenset({"a", "b"}), {"x": "1", "y": "2"})
    same = WatchFilter(frozenset({Status.FAILED, Status.QUEUED}), frozenset({"b", "a"}), {"y": "2", "x": "1"})

    assert decode_position(encode(POSITION, both), same) == POSITION


def forged(token: str, end: bytes) -> str:
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return base64.urlsafe_b64encode(raw[:8] + end).decode().rstrip("=")


@pytest.mark.parametrize(
    "end", [b"", b"f", b"f\x82", b"x" + bytes(20), b"j" + bytes(4), b"f\x81" + bytes(20)]
)
def test_what_is_no_position_is_refused(end: bytes) -> None:
    with pytest.raises(InvalidArgument, match="must be the resume_token of an earlier response"):
        decode_position(forged(encode(POSITION, FILTER), end), FILTER)


@pytest.mark.parametrize("length", [0, 3, 5, 7, 9])
def test_what_is_no_place_is_refused(length: int) -> None:
    with pytest.raises(InvalidArgument, match="must be the resume_token of an earlier response"):
        decode_place(forged(encode(BEGIN, JOB), b"j" + bytes(length)), JOB, has_log=True)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_any_other_text_is_refused(token: str) -> None:
    wanted: Any
    for decode, wanted in ((decode_position, FILTER), (decode_place, JOB)):
        if token:
            with pytest.raises(InvalidArgument, match="resume_token: "):
                decode(token, wanted)
