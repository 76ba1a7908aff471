"""The record for a worker, and payloads that are too large for it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api_server.adapters.kafka.dispatch_record import encode
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES, least_bytes
from contract_runtime.structs import dict_to_struct, struct_to_dict
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from service_runtime.validation import ContractValidator
from tests.unit.api_server.dispatch.dispatch_fakes import make_dispatch

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)
PAYLOADS = st.dictionaries(TEXT, JSON, max_size=6)


@given(PAYLOADS)
def test_the_estimate_is_never_above_the_real_size(payload: dict[str, Any]) -> None:
    assert least_bytes(payload) <= dict_to_struct(payload).ByteSize()


def test_the_estimate_is_close_for_ascii_text_and_numbers() -> None:
    payload = {"input": "x" * 100, "numbers": [float(n) for n in range(100)]}
    real = dict_to_struct(payload).ByteSize()
    assert 0.95 * real <= least_bytes(payload) <= real


def test_counting_stops_after_enough_bytes() -> None:
    class Endless(dict[str, Any]):
        def values(self) -> Any:
            raise AssertionError("counted beyond enough")

    assert least_bytes({"deep": Endless(), "text": "x" * 1000}, enough=500) >= 500


@given(PAYLOADS)
def test_a_record_carries_the_job_and_its_payload(payload: dict[str, Any]) -> None:
    dispatch = make_dispatch(payload, attempt=3)
    record = DispatchRecord.FromString(encode(dispatch))
    assert (record.id, record.type, record.attempt) == (str(dispatch.job_id), "compute", 3)
    assert struct_to_dict(record.payload) == payload


def test_a_record_says_how_long_the_job_may_run_and_how_often_it_was_lost() -> None:
    dispatch = replace(make_dispatch(), timeout=timedelta(seconds=1.5), losses=2)
    record = DispatchRecord.FromString(encode(dispatch))
    assert (record.timeout.ToTimedelta(), record.losses) == (dispatch.timeout, 2)
    ContractValidator().check(record)
    without = DispatchRecord.FromString(encode(make_dispatch()))
    assert (without.HasField("timeout"), without.losses) == (False, 0)


def test_a_record_carries_the_labels_and_the_number_of_tries() -> None:
    dispatch = replace(make_dispatch(), labels={"team": "a"}, max_attempts=7)
    record = DispatchRecord.FromString(encode(dispatch))
    ContractValidator().check(record)
    assert (dict(record.labels), record.max_attempts) == ({"team": "a"}, 7)
    without = DispatchRecord.FromString(encode(make_dispatch()))
    assert (dict(without.labels), without.max_attempts) == ({}, 3)


def test_a_payload_above_the_limit_is_left_out() -> None:
    largest = {"input": "x" * (MAX_TRAVELLING_BYTES - 25)}
    assert dict_to_struct(largest).ByteSize() <= MAX_TRAVELLING_BYTES
    assert DispatchRecord.FromString(encode(make_dispatch(largest))).HasField("payload")
    larger = {"input": "é" * (MAX_TRAVELLING_BYTES // 2)}
    record = DispatchRecord.FromString(encode(make_dispatch(larger)))
    assert record.payload_omitted


def test_an_absent_payload_is_marked_as_omitted() -> None:
    dispatch = make_dispatch()
    record = DispatchRecord.FromString(encode(type(dispatch)(dispatch.job_id, "compute", 0, None)))
    assert record.payload_omitted


def test_a_payload_that_is_no_json_is_left_out() -> None:
    record = DispatchRecord.FromString(encode(make_dispatch({"number": 2**60})))
    assert record.payload_omitted
