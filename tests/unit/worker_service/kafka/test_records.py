"""Kafka records are decoded, and refused if they break a rule of the contract."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from service_runtime.validation import ContractValidator
from worker_service.kafka.records import MAX_TYPE, BadRecord, decode_record, is_plainly_valid, time_limit_of

JOB_ID = "01938f4e-7c3a-7b2e-9d41-3f5a6b7c8d9e"
VALIDATOR = ContractValidator()


def decode(value: bytes | None, topic: str = "jobs.compute") -> DispatchRecord:
    return decode_record(value, topic, VALIDATOR)


def test_a_record_is_decoded_with_its_id_in_lower_case() -> None:
    sent = DispatchRecord(id=JOB_ID.upper(), type="compute", attempt=2)
    sent.payload.update({"input": "abc"})

    record = decode(sent.SerializeToString())

    assert (record.id, record.attempt, record.payload["input"]) == (JOB_ID, 2, "abc")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "the record has no value"),
        (b"\xff\xff", "not a DispatchRecord"),
        (DispatchRecord(id="x", type="compute", payload_omitted=True).SerializeToString(), "id: "),
        (DispatchRecord(id=JOB_ID, type="compute").SerializeToString(), "content"),
        (
            DispatchRecord(id=JOB_ID, type="compute", attempt=-1, payload_omitted=True).SerializeToString(),
            "attempt: ",
        ),
        (
            DispatchRecord(id=JOB_ID, type="file", payload_omitted=True).SerializeToString(),
            "type: must belong to topic jobs.compute, is 'file'",
        ),
    ],
)
def test_a_record_that_breaks_a_rule_is_refused_with_the_rule(value: bytes | None, problem: str) -> None:
    with pytest.raises(BadRecord, match=problem):
        decode(value)


@given(
    job_id=st.sampled_from([JOB_ID, JOB_ID.upper(), JOB_ID[:-1], f"{JOB_ID}\n", JOB_ID.replace("-", ""), ""]),
    job_type=st.sampled_from(["", "compute", "x" * MAX_TYPE, "x" * (MAX_TYPE + 1), "ü" * MAX_TYPE]),
    numbers=st.tuples(st.integers(-1, 1), st.integers(-1, 3)),
    content=st.sampled_from(
        [{}, {"payload": Struct()}, {"payload_omitted": True}, {"payload_omitted": False}]
    ),
    timeout=st.sampled_from([None, Duration(seconds=1), Duration(), Duration(seconds=-1)]),
)
def test_a_plainly_valid_record_breaks_no_rule_of_the_contract(
    job_id: str, job_type: str, numbers: tuple[int, int], content: Any, timeout: Duration | None
) -> None:
    attempt, losses = numbers
    record = DispatchRecord(
        id=job_id, type=job_type, attempt=attempt, losses=losses, timeout=timeout, **content
    )

    if is_plainly_valid(record):
        assert VALIDATOR.collect(record) == []
    elif job_id == JOB_ID and timeout is None:
        assert VALIDATOR.collect(record) != []


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [
        (None, None),
        (Duration(seconds=1, nanos=500_000_000), 1.5),
        (Duration(nanos=10_000_000), 0.01),
        (Duration(seconds=315_576_000_000), 315_576_000_000),
    ],
)
def test_a_time_limit_is_taken_from_its_record(timeout: Duration | None, seconds: float | None) -> None:
    sent = DispatchRecord(id=JOB_ID, type="compute", payload_omitted=True, timeout=timeout)

    assert time_limit_of(decode(sent.SerializeToString())) == seconds
