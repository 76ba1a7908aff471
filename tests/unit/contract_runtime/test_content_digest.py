"""The digest of a record is the one that the API server stored with its job, and no other content has it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from api_server.adapters.kafka.dispatch_record import encode
from api_server.domain.creation import new_job_id
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.notification import EndedJob, webhook_job
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES
from api_server.rpc.requests import new_job
from contract_runtime.content_digest import content_digest
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_service_pb2 import CreateRequest
from worker_service.kafka.records import digest_of, without_content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def created(payload: Any, labels: Any = None, timeout: timedelta | None = None, max_attempts: int = 0) -> Job:
    """The job that the API server stores for a request."""
    request = CreateRequest(type="compute", labels=labels or {})
    request.payload.CopyFrom(payload if isinstance(payload, Struct) else dict_to_struct(payload))
    request.retry_policy.max_attempts = max_attempts
    if timeout is not None:
        request.timeout.FromTimedelta(timeout)
    return new_job(request).to_job(new_job_id(NOW), NOW)


def record_of(job: Job) -> DispatchRecord:
    return DispatchRecord.FromString(encode(Dispatch.of(job)))


@given(
    payload=st.dictionaries(TEXT, VALUES, max_size=5),
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    timeout=st.none() | st.timedeltas(timedelta(milliseconds=10), timedelta(days=7)),
    max_attempts=st.integers(0, 100),
)
def test_a_record_has_the_digest_of_its_job(
    payload: Any, labels: Any, timeout: timedelta | None, max_attempts: int
) -> None:
    job = created(payload, labels, timeout, max_attempts)
    assert len(job.content_digest) == 32
    assert digest_of(record_of(job)) == job.content_digest
    # The attempt and the losses change while a job lives. Its content does not.
    assert digest_of(record_of(replace(job, attempt=3, losses=2))) == job.content_digest


def test_a_record_of_a_webhook_has_the_digest_of_its_job() -> None:
    job = webhook_job(EndedJob(new_job_id(NOW), "compute", Status.FAILED, 7, NOW, "https://a.example/hook"))
    assert job.content_digest
    assert digest_of(record_of(job)) == job.content_digest


def test_the_order_of_keys_does_not_count() -> None:
    job = created({"a": 1, "b": {"c": 2, "d": 3}})
    assert digest_of(record_of(replace(job, payload={"b": {"d": 3, "c": 2}, "a": 1}))) == job.content_digest


def test_each_part_of_the_content_changes_the_digest() -> None:
    job = created({"input": "x"}, {"team": "a"}, timedelta(seconds=5), 3)
    others = [record_of(job) for _ in range(8)]
    others[0].id = str(new_job_id(NOW))
    others[1].type = "file"
    others[2].payload["input"] = "y"
    others[3].payload["more"] = None
    others[4].labels["team"] = "b"
    others[5].labels["more"] = ""
    others[6].timeout.FromMicroseconds(5_000_001)
    others[7].max_attempts = 4
    digests = {digest_of(other) for other in others}
    assert len(digests) == 8
    assert job.content_digest not in digests


@pytest.mark.parametrize(
    ("labels", "others"),
    [
        ({"a": "b", "c": "d"}, {"a": "bc", "": "d"}),
        ({"a": "1:b"}, {"a1:": "b"}),
        ({"a": ""}, {}),
        ({"a": "b 1:c1:d"}, {"a": "b", "c": "d"}),
    ],
)
def test_labels_that_look_alike_have_other_digests(labels: dict[str, str], others: dict[str, str]) -> None:
    assert content_digest("id", "t", b"", labels, 3, 0) != content_digest("id", "t", b"", others, 3, 0)


def test_a_record_without_the_payload_has_none_nor_has_its_job() -> None:
    job = created({"input": "x" * MAX_TRAVELLING_BYTES})
    assert job.content_digest == ""
    assert record_of(job).payload_omitted
    assert digest_of(record_of(job)) == ""


def test_without_its_content_a_record_says_only_which_job_waits() -> None:
    job = replace(created({"input": "x"}, {"a": "b"}, timedelta(seconds=1)), attempt=2, losses=1)
    hint = without_content(record_of(job))
    assert (hint.id, hint.type, hint.attempt, hint.losses) == (str(job.id), "compute", 2, 1)
    assert hint.payload_omitted
    assert (dict(hint.labels), hint.HasField("timeout"), hint.max_attempts) == ({}, False, 0)
    assert digest_of(hint) == ""
