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
from api_server.adapters.mongo.listing import BY_ID, BY_LABELS, BY_STATUS, plan_walk
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobFilter
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
    ("wanted", "index", "within", "conditions"),
    [
        (JobFilter(), BY_ID, {}, {}),
        (JobFilter(type="data"), BY_ID, {}, {"type": "data"}),
        (JobFilter(status=Status.QUEUED), BY_ID, {}, {"status": "queued"}),
        (JobFilter(status=Status.FAILED), BY_STATUS, {"status": "failed"}, {}),
        (JobFilter(labels={"b": "2", "a": "1"}), BY_LABELS, {"labels": "a=1"}, {"$and": [{"labels": "b=2"}]}),
        (
            JobFilter(status=Status.CANCELLED, labels={"a": "1"}),
            BY_LABELS,
            {"labels": "a=1"},
            {"status": "cancelled"},
        ),
    ],
)
def test_a_walk_uses_the_index_that_fits(
    wanted: JobFilter, index: dict[str, int], within: dict[str, object], conditions: dict[str, object]
) -> None:
    walk = plan_walk(wanted, None)
    assert (walk.index, walk.within, walk.conditions) == (index, within, conditions)
    assert plan_walk(wanted, JOB_ID).within == {**within, "_id": {"$lt": JOB_ID}}


@given(
    create_time=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001 - made aware below
    skew=st.timedeltas(timedelta(hours=-24), timedelta(minutes=5)),
    margin=st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_a_walk_by_time_finds_every_id_that_a_client_may_choose(
    create_time: datetime, skew: timedelta, margin: timedelta
) -> None:
    created = create_time.replace(tzinfo=UTC, microsecond=create_time.microsecond // 1000 * 1000)
    milliseconds = (created + skew - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    wanted = JobFilter(
        created_from=created - margin, created_before=created + margin + timedelta(milliseconds=1)
    )
    ids = plan_walk(wanted, None).within["_id"]
    assert ids["$gte"] <= UUID(int=milliseconds << 80) < ids["$lt"]


def test_times_at_the_ends_of_the_calendar_are_no_error() -> None:
    wanted = JobFilter(
        created_from=datetime.min.replace(tzinfo=UTC), created_before=datetime.max.replace(tzinfo=UTC)
    )
    assert plan_walk(wanted, None).within["_id"]["$gte"] == UUID(int=0)


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
