"""The serialization of new jobs."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.structs import MAX_BYTES, dict_to_struct
from job_client import InvalidArgument, NewJob, Notify, RetryPolicy
from job_client._gen.jobs.v1.job_service_pb2 import BatchCreateRequest, CreateRequest
from job_client.new_job import encode

JOB_ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
new_jobs = st.builds(
    NewJob,
    st.sampled_from(["compute", "data"]),
    st.dictionaries(st.sampled_from("xyz"), json_values, max_size=3),
    st.dictionaries(st.sampled_from(["team", "n"]), st.text("abc", max_size=5)),
)


@given(st.lists(new_jobs, max_size=5))
def test_encoded_jobs_can_be_concatenated_to_a_batch(jobs: list[NewJob]) -> None:
    encoded = [encode(job) for job in jobs]
    batch = BatchCreateRequest.FromString(b"".join(each.wire for each in encoded))
    assert [request.id for request in batch.requests] == [each.id for each in encoded]
    for job, each, request in zip(jobs, encoded, batch.requests, strict=True):
        assert request == each.request()
        assert request == CreateRequest(
            id=each.id, type=job.type, payload=dict_to_struct(dict(job.payload)), labels=job.labels
        )


NOTIFY = Notify("https://a.example/hook")


def test_all_arguments_of_a_create_are_sent() -> None:
    policy = RetryPolicy(5, timedelta(seconds=2), timedelta(minutes=1), 3.0, 0.0)
    begin, end = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    encoded = encode(
        NewJob("data", {}, {}, JOB_ID.upper(), policy, begin, end, timedelta(seconds=30), NOTIFY)
    )
    request = encoded.request()
    assert request.notify.url == NOTIFY.url
    assert (encoded.id, request.id) == (JOB_ID, JOB_ID)
    assert request.HasField("payload")
    sent = request.retry_policy
    assert (sent.max_attempts, sent.multiplier, sent.jitter) == (5, 3.0, 0.0)
    assert sent.HasField("jitter")
    assert [sent.initial_backoff.seconds, sent.max_backoff.seconds, request.timeout.seconds] == [2, 60, 30]
    assert [request.schedule_time.ToDatetime(UTC), request.expire_time.ToDatetime(UTC)] == [begin, end]
    unset = encode(NewJob("data", retry_policy=RetryPolicy())).request()
    assert unset.HasField("retry_policy")
    assert not unset.retry_policy.ListFields()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"payload": {"a": [1, {"b": object()}]}}, "payload.a[1].b"),
        ({"payload": {"a": math.nan}}, "payload.a"),
        ({"payload": {"a": "x" * MAX_BYTES}}, "payload"),
        ({"payload": {"k" * 1000: object()}}, "payload." + "k" * 292),
        ({"payload": ["no object"]}, "payload"),
        ({"payload": None}, "payload"),
        ({"type": None}, "type"),
        ({"type": b"compute"}, "type"),
        ({"type": "\ud800"}, "type"),
        ({"type": "x" * 3 * MAX_BYTES}, ""),
        ({"labels": {"a": 1}}, 'labels["a"]'),
        ({"labels": {"a": "\ud800"}}, 'labels["a"]'),
        ({"labels": {"a": b"b"}}, 'labels["a"]'),
        ({"labels": {1: "a"}}, "labels"),
        ({"labels": {None: None}}, "labels"),
        ({"labels": {"\ud800": "a"}}, "labels"),
        ({"labels": [("a", "b")]}, "labels"),
        ({"labels": {str(n): "x" * 1000 for n in range(3000)}}, ""),
        ({"id": "no uuid"}, "id"),
        ({"id": 5}, "id"),
        ({"id": b"x"}, "id"),
        ({"id": "x" * MAX_BYTES}, "id"),
        ({"schedule_time": datetime(2026, 1, 1)}, "schedule_time"),  # noqa: DTZ001 - the missing time zone is the fault
        ({"schedule_time": "2026-01-01T00:00:00Z"}, "schedule_time"),
        ({"schedule_time": date(2026, 1, 1)}, "schedule_time"),
        ({"schedule_time": datetime.min.replace(tzinfo=timezone(timedelta(hours=9)))}, "schedule_time"),
        ({"expire_time": 5}, "expire_time"),
        ({"expire_time": True}, "expire_time"),
        ({"expire_time": datetime(2026, 1, 1)}, "expire_time"),  # noqa: DTZ001 - the missing time zone is the fault
        ({"attempt_timeout": "5"}, "attempt_timeout"),
        ({"attempt_timeout": timedelta.max}, "attempt_timeout"),
        ({"attempt_timeout": 10**13}, "attempt_timeout"),
        ({"attempt_timeout": float("nan")}, "attempt_timeout"),
        ({"retry_policy": {"max_attempts": 3}}, "retry_policy"),
        ({"retry_policy": RetryPolicy(max_attempts=2**40)}, "retry_policy.max_attempts"),
        ({"retry_policy": RetryPolicy(max_attempts=True)}, "retry_policy.max_attempts"),
        ({"retry_policy": RetryPolicy(max_attempts=2.5)}, "retry_policy.max_attempts"),  # type: ignore[arg-type]
        ({"retry_policy": RetryPolicy(multiplier="2")}, "retry_policy.multiplier"),  # type: ignore[arg-type]
        ({"retry_policy": RetryPolicy(multiplier=10**400)}, "retry_policy.multiplier"),
        ({"retry_policy": RetryPolicy(jitter=True)}, "retry_policy.jitter"),
        ({"retry_policy": RetryPolicy(initial_backoff=True)}, "retry_policy.initial_backoff"),
        ({"retry_policy": RetryPolicy(max_backoff=timedelta.max)}, "retry_policy.max_backoff"),
        ({"notify": "https://a.example/hook"}, "notify"),
        ({"notify": Notify(None)}, "notify.url"),  # type: ignore[arg-type]
    ],
)
def test_a_value_that_cannot_be_sent_is_refused_at_once(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        encode(NewJob(**{"type": "compute", **wrong}))
    [violation] = caught.value.violations
    assert violation.field == field
    assert violation.rule
    assert violation.description.startswith(("must ", "keys must "))
    assert len(str(caught.value)) < 1000
