"""Jobs as documents, the index walks that find them, and the errors that are an outage."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WaitQueueTimeoutError,
    WriteError,
    WTimeoutError,
)

from api_server.adapters.mongo.client import CODEC, is_outage
from api_server.adapters.mongo.documents import to_document, to_job
from api_server.domain.job import Job, Status
from api_server.domain.retry import RetryPolicy

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB_ID = UUID("019b7a00-0000-7000-8000-000000000001")


def test_a_document_reads_back_as_the_job() -> None:
    job = Job(JOB_ID, "data", Status.QUEUED, {"$a": {"b.c": [1, 2.5, None]}}, NOW, NOW, {"k": "a=b", "e": ""})
    stored = bson.decode(bson.encode(to_document(job, NOW), codec_options=CODEC), codec_options=CODEC)
    assert to_job(stored) == job
    assert stored["labels"] == ["e=", "k=a=b"]


@given(
    policy=st.builds(
        RetryPolicy,
        st.integers(1, 100),
        st.timedeltas(timedelta(0), timedelta(days=7)),
        st.timedeltas(timedelta(0), timedelta(days=7)),
        st.floats(1, 100),
        st.floats(0, 1),
    ),
    timeout=st.none() | st.timedeltas(timedelta(milliseconds=10), timedelta(days=7)),
    times=st.lists(
        st.none() | st.integers(0, 10**12).map(lambda ms: NOW + timedelta(milliseconds=ms)),
        min_size=3,
        max_size=3,
    ),
)
def test_times_and_policy_of_a_job_read_back_to_the_microsecond(
    policy: RetryPolicy, timeout: timedelta | None, times: list[datetime | None]
) -> None:
    job = Job(
        JOB_ID,
        "data",
        Status.QUEUED,
        {},
        NOW,
        NOW,
        retry_policy=policy,
        timeout=timeout,
        schedule_time=times[0],
        expire_time=times[1],
        next_attempt_time=times[2],
    )
    assert (
        to_job(bson.decode(bson.encode(to_document(job, NOW), codec_options=CODEC), codec_options=CODEC))
        == job
    )


def test_a_document_has_no_field_with_a_default() -> None:
    document = to_document(Job(JOB_ID, "data", Status.QUEUED, {}, NOW, NOW), NOW)
    always = {
        "_id",
        "type",
        "status",
        "payload",
        "attempt",
        "revision",
        "create_time",
        "update_time",
        "due_time",
    }
    assert set(document) == always


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (NetworkTimeout("x"), True),
        (NotPrimaryError("x"), True),
        (ServerSelectionTimeoutError("x"), True),
        (WaitQueueTimeoutError("x"), True),
        (ExecutionTimeout("x", 50), True),
        (WTimeoutError("x", 64), True),
        (WriteError("x", 11600), True),
        (OperationFailure("x", 189), True),
        (OperationFailure("x", 43), True),
        (OperationFailure("x", 365), True),
        (BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]}), True),
        (BulkWriteError({"writeErrors": [{"code": 11602}], "writeConcernErrors": []}), True),
        (BulkWriteError({"writeErrors": [{"code": 121}], "writeConcernErrors": []}), False),
        (DuplicateKeyError("x", 11000), False),
        (OperationFailure("unauthorized", 13), False),
    ],
)
def test_only_errors_with_an_unknown_outcome_are_outages(error: PyMongoError, outage: bool) -> None:
    assert is_outage(error) is outage
