"""The client's pure parts: batches, waits, errors, and the encoding of jobs."""

import math
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import grpc
import pytest
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status as StatusMessage
from hypothesis import given
from hypothesis import strategies as st

from contract_runtime.errors import ServiceError, invalid
from contract_runtime.statuses import error_to_status
from contract_runtime.structs import MAX_BYTES, dict_to_struct
from job_client import InvalidArgument, JobClientError, NewJob, RetryPolicy, Violation
from job_client.backoff import FIRST_POLL, LONGEST_POLL, POLLS_PER_SECOND, Backoff, next_poll
from job_client.errors import (
    errors_by_index,
    from_status,
    invalid_with,
    is_transient,
    may_be_caused_by_one_item,
)
from job_client.job import Failure, Job, Progress, Status, to_job
from job_client.new_job import encode
from job_client.pending import BatchLimits, PendingQueue
from jobs.v1 import job_pb2
from jobs.v1.job_service_pb2 import BatchCreateRequest, CreateRequest

JOB_ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"


@dataclass(frozen=True)
class Thing:
    id: str
    size: int


# --- Batches ---


@given(
    st.lists(st.builds(Thing, st.sampled_from("abc"), st.integers(0, 9)), max_size=30),
    st.integers(1, 5),
    st.integers(1, 20),
    st.booleans(),
)
def test_batches_are_in_order_and_as_large_as_the_limits_allow(
    things: list[Thing], items: int, size: int, unique_ids: bool
) -> None:
    queue: PendingQueue[Thing] = PendingQueue(BatchLimits(items, size), unique_ids=unique_ids)
    for thing in things:
        queue.add(thing)
    batches = []
    while batch := queue.next_batch():
        batches.append(batch)
    assert [thing for batch in batches for thing in batch] == things
    for batch in batches:
        assert len(batch) <= items
        assert len(batch) == 1 or sum(thing.size for thing in batch) <= size
        assert not unique_ids or max(Counter(thing.id for thing in batch).values()) == 1
    for batch, after in pairwise(batches):
        assert (
            len(batch) == items
            or sum(thing.size for thing in batch) + after[0].size > size
            or (unique_ids and after[0].id in {thing.id for thing in batch})
        )


# --- Waits ---


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 60))
def test_a_call_waits_as_long_as_the_server_asks_and_a_bounded_time_more(
    failures: int, chance: float, asked_for: float
) -> None:
    wait = Backoff(0.05, 2.0, lambda: chance).wait(failures, asked_for)
    assert asked_for <= wait <= asked_for + min(2.0, 0.05 * 2 ** min(failures - 1, 10))


def test_waits_double() -> None:
    backoff = Backoff(0.1, 1.0, lambda: 1.0)
    assert [backoff.wait(failures) for failures in range(1, 6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0])


@given(st.floats(0, 1e5), st.integers(1, 10_000), st.floats(0, 1e6))
def test_polls_come_soon_and_at_moments_that_all_waits_share(waited: float, waits: int, now: float) -> None:
    poll = next_poll(waited, waits, now)
    assert now < poll
    share = 2 * waits / POLLS_PER_SECOND
    assert poll - now <= max(FIRST_POLL, min(max(waited / 4, share), LONGEST_POLL)) * (1 + 1e-6)
    assert math.isclose(poll / FIRST_POLL, round(poll / FIRST_POLL), abs_tol=1e-3)


@pytest.mark.parametrize(("waits", "step"), [(40, 0.02), (41, 0.04), (1000, 0.64), (100_000, 1.28)])
def test_each_wait_polls_less_often_when_there_are_many(waits: int, step: float) -> None:
    assert next_poll(0, waits, 0) == pytest.approx(step)


# --- What an error means ---


@pytest.mark.parametrize(
    ("code", "reason", "delay", "transient", "caused_by_item"),
    [
        ("UNAVAILABLE", "", None, True, False),
        ("UNAVAILABLE", "DATABASE_UNAVAILABLE", 1.0, True, False),
        ("DEADLINE_EXCEEDED", "SERVER_DEADLINE_EXCEEDED", None, True, False),
        ("CANCELLED", "", None, True, False),
        ("RESOURCE_EXHAUSTED", "OVERLOADED", 1.0, True, False),
        ("RESOURCE_EXHAUSTED", "ANSWER_TOO_LARGE", None, False, True),
        ("RESOURCE_EXHAUSTED", "", None, False, True),
        ("INVALID_ARGUMENT", "INVALID_ARGUMENT", None, False, True),
        ("INTERNAL", "INTERNAL", None, False, True),
        ("INTERNAL", "", None, True, False),
        ("UNKNOWN", "", None, True, False),
        ("ALREADY_EXISTS", "JOB_ID_TAKEN", None, False, False),
        ("NOT_FOUND", "JOB_NOT_FOUND", None, False, False),
        ("UNAUTHENTICATED", "", None, False, False),
        ("PERMISSION_DENIED", "", None, False, False),
        ("UNIMPLEMENTED", "", None, False, False),
    ],
)
def test_transient_errors_are_told_from_permanent_ones(
    code: str, reason: str, delay: float | None, transient: bool, caused_by_item: bool
) -> None:
    error = JobClientError("words", code=grpc.StatusCode[code], reason=reason, retry_delay=delay)
    assert (is_transient(error), may_be_caused_by_one_item(error)) == (transient, caused_by_item)


def test_each_item_gets_only_its_own_violations() -> None:
    error = invalid_with(
        [
            Violation("requests[3].id", "uuid", "must be"),
            Violation('requests[12].labels["a"]', "pattern", "must match"),
            Violation("requests[3].type", "min_len", "must have"),
            Violation("requests[4]", "message", "must agree"),
            Violation("requests", "max_items", "must be fewer"),
            Violation("other[5].id", "uuid", "must be"),
            Violation("", "decode", "is no message"),
        ]
    )
    named = errors_by_index(error, "requests")
    assert {index: each.violations for index, each in named.items()} == {
        3: (Violation("id", "uuid", "must be"), Violation("type", "min_len", "must have")),
        12: (Violation('labels["a"]', "pattern", "must match"),),
        4: (Violation("", "message", "must agree"),),
    }
    assert str(named[3]) == "INVALID_ARGUMENT: id: must be; type: must have"


# --- Errors ---


class Busy(ServiceError):
    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


def test_an_error_has_all_details_of_its_status() -> None:
    error = from_status(error_to_status(Busy("wait", {"id": "x"}, retry_delay=1.25)))
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (error.reason, error.metadata, error.retry_delay) == ("OVERLOADED", {"id": "x"}, 1.25)
    wrong = from_status(error_to_status(invalid("type", "type.known", "must be one of a, b")))
    assert isinstance(wrong, InvalidArgument)
    assert wrong.violations == (Violation("type", "type.known", "must be one of a, b"),)
    assert wrong.reason == "INVALID_ARGUMENT"


def test_a_status_without_details_or_with_an_unknown_code_is_an_error() -> None:
    bare = from_status(StatusMessage(code=Code.UNAVAILABLE, message="away"))
    assert (str(bare), bare.reason, bare.violations) == ("UNAVAILABLE: away", "", ())
    assert from_status(StatusMessage(code=99)).code is grpc.StatusCode.UNKNOWN


# --- Encoding ---

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


def test_all_arguments_of_a_create_are_sent() -> None:
    policy = RetryPolicy(5, timedelta(seconds=2), timedelta(minutes=1), 3.0, 0.0)
    begin, end = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    encoded = encode(NewJob("data", {}, {}, JOB_ID.upper(), policy, begin, end, timedelta(seconds=30)))
    request = encoded.request()
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
        ({"attempt_timeout": 5}, "attempt_timeout"),
        ({"attempt_timeout": timedelta.max}, "attempt_timeout"),
        ({"retry_policy": {"max_attempts": 3}}, "retry_policy"),
        ({"retry_policy": RetryPolicy(max_attempts=2**40)}, "retry_policy.max_attempts"),
        ({"retry_policy": RetryPolicy(max_attempts=True)}, "retry_policy.max_attempts"),
        ({"retry_policy": RetryPolicy(max_attempts=2.5)}, "retry_policy.max_attempts"),  # type: ignore[arg-type]
        ({"retry_policy": RetryPolicy(multiplier="2")}, "retry_policy.multiplier"),  # type: ignore[arg-type]
        ({"retry_policy": RetryPolicy(multiplier=10**400)}, "retry_policy.multiplier"),
        ({"retry_policy": RetryPolicy(jitter=True)}, "retry_policy.jitter"),
        ({"retry_policy": RetryPolicy(initial_backoff=5)}, "retry_policy.initial_backoff"),  # type: ignore[arg-type]
        ({"retry_policy": RetryPolicy(max_backoff=timedelta.max)}, "retry_policy.max_backoff"),
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


# --- Decoding ---


LEFT_OUT = {"retry_policy", "history", "timeout"}
"""Fields of the contract's Job that the client's Job does not have; the stubs give them."""
TIMES = (
    "create_time",
    "update_time",
    "start_time",
    "end_time",
    "schedule_time",
    "expire_time",
    "next_attempt_time",
)


def moment(index: int) -> datetime:
    """Another time for each index."""
    return datetime(2026, 11, 25, 13, 38, index, 535_000, tzinfo=UTC)


def message_with_all_fields() -> job_pb2.Job:
    """A message whose fields all have values, so that a value in the wrong field is seen."""
    message = job_pb2.Job(
        id=JOB_ID,
        type="compute",
        status=job_pb2.Job.failed,
        payload=dict_to_struct({"a": 1}),
        result=dict_to_struct({"b": [True, None]}),
        error=job_pb2.JobError(code=Code.INTERNAL, reason="HANDLER_ERROR", message="it broke"),
        attempt=2,
        revision=7,
        worker_id="w/1",
        labels={"team": "x"},
        failures=1,
        losses=3,
        progress=job_pb2.Progress(percent=50, message="half"),
        retry_policy=job_pb2.RetryPolicy(max_attempts=5),
        history=[job_pb2.Attempt(attempt=1)],
    )
    message.timeout.FromSeconds(30)
    for index, name in enumerate(TIMES):
        getattr(message, name).FromDatetime(moment(index))
    return message


def test_a_job_has_every_field_of_the_contract_with_its_value() -> None:
    contract = {field.name for field in job_pb2.Job.DESCRIPTOR.fields}
    message = message_with_all_fields()
    assert {field.name for field, _ in message.ListFields()} == contract, "the test must set every field"
    job = to_job(message)
    told = {
        "id": JOB_ID,
        "type": "compute",
        "status": Status.FAILED,
        "payload": {"a": 1},
        "result": {"b": [True, None]},
        "error": Failure(grpc.StatusCode.INTERNAL, "HANDLER_ERROR", "it broke"),
        "attempt": 2,
        "revision": 7,
        "worker_id": "w/1",
        "labels": {"team": "x"},
        "failures": 1,
        "losses": 3,
        "progress": Progress(50, "half"),
        **{name: moment(index) for index, name in enumerate(TIMES)},
    }
    assert {field.name: getattr(job, field.name) for field in fields(Job)} == told
    assert set(told) == contract - LEFT_OUT


def test_the_job_of_a_create_has_no_payload_and_all_else() -> None:
    message = message_with_all_fields()
    assert to_job(message, with_payload=False) == replace(to_job(message), payload=None)


def test_fields_that_are_not_set_are_none_or_empty() -> None:
    job = to_job(job_pb2.Job(id=JOB_ID))
    unset = {"payload", "result", "error", "progress", *TIMES} - {"create_time", "update_time"}
    assert {name for name in unset if getattr(job, name) is not None} == set()
    assert job.labels == {}


def test_a_job_knows_every_status_of_the_contract() -> None:
    for name, number in job_pb2.Job.Status.items():
        job = to_job(job_pb2.Job(status=number))
        assert job.status == name
        assert job.has_ended == (job.status in {Status.COMPLETED, Status.FAILED, Status.CANCELLED})
