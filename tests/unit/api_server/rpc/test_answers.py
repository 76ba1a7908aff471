"""A job in an answer, and how large answers may be."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict

from api_server.domain.attempt import Attempt, Failure, Outcome
from api_server.domain.errors import AnswerTooLarge
from api_server.domain.job import Job, Progress, Status
from api_server.domain.listing import JobCount, JobPage, View
from api_server.domain.resolution import Applied
from api_server.domain.retry import RetryPolicy
from api_server.rpc.answers import (
    MAX_ANSWER_BYTES,
    created_message,
    found_message,
    job_message,
    list_message,
    outcome_message,
)
from contract_runtime.structs import MAX_BYTES
from job_client._gen.jobs.v1 import job_pb2

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def shown(job: Job) -> dict[str, Any]:
    """The job as a REST client reads it."""
    message: dict[str, Any] = MessageToDict(job_message(job))
    return message


def test_a_new_job_shows_its_retry_policy_and_no_field_of_a_later_status() -> None:
    assert shown(Job(ID, "compute", Status.QUEUED, {}, NOW, NOW)) == {
        "id": str(ID),
        "type": "compute",
        "status": "queued",
        "payload": {},
        "revision": 1,
        "createTime": "2026-01-01T00:00:00Z",
        "updateTime": "2026-01-01T00:00:00Z",
        "retryPolicy": {
            "maxAttempts": 3,
            "initialBackoff": "1s",
            "maxBackoff": "300s",
            "multiplier": 2.0,
            "jitter": 0.2,
        },
    }


PAST = Attempt(1, "w/1", NOW, NOW + SECOND, Outcome.ERRORED, Failure(13, "broken", "HANDLER_ERROR"))
RUNNING = Job(
    ID,
    "compute",
    Status.PROCESSING,
    {},
    NOW,
    NOW,
    attempt=2,
    worker_id="w/2",
    start_time=NOW + 2 * SECOND,
    retry_policy=RetryPolicy(5, SECOND / 2, 2 * SECOND, 1.5, 0.0),
    failures=1,
    losses=2,
    past=(PAST,),
    schedule_time=NOW + SECOND,
    expire_time=NOW + 9 * SECOND,
    timeout=timedelta(milliseconds=1500),
    progress=Progress(12.5, "reading"),
    claim_id="secret",
    cancel_id="secret",
    retry_id="secret",
)


def test_a_job_shows_its_times_policy_and_progress() -> None:
    message = shown(RUNNING)
    assert message["retryPolicy"] == {
        "maxAttempts": 5,
        "initialBackoff": "0.500s",
        "maxBackoff": "2s",
        "multiplier": 1.5,
        "jitter": 0.0,
    }
    assert (message["failures"], message["losses"]) == (1, 2)
    assert message["scheduleTime"] == "2026-01-01T00:00:01Z"
    assert message["expireTime"] == "2026-01-01T00:00:09Z"
    assert message["timeout"] == "1.500s"
    assert message["progress"] == {"percent": 12.5, "message": "reading"}
    assert "secret" not in str(message)


@pytest.mark.parametrize(
    ("status", "percent"),
    [(Status.PROCESSING, 12.5), (Status.COMPLETED, 100.0), (Status.FAILED, 12.5), (Status.CANCELLED, 12.5)],
)
def test_a_completed_job_has_made_all_of_its_progress(status: Status, percent: float) -> None:
    job = Job(ID, "compute", status, {}, NOW, NOW, progress=Progress(12.5, "reading"))
    assert shown(job)["progress"] == {"percent": percent, "message": "reading"}


def test_a_completed_job_without_progress_shows_none() -> None:
    assert "progress" not in shown(Job(ID, "compute", Status.COMPLETED, {}, NOW, NOW))


def test_a_job_shows_its_history_and_the_present_attempt() -> None:
    assert shown(RUNNING)["history"] == [
        {
            "attempt": 1,
            "workerId": "w/1",
            "startTime": "2026-01-01T00:00:00Z",
            "endTime": "2026-01-01T00:00:01Z",
            "outcome": "errored",
            "error": {"code": "INTERNAL", "message": "broken", "reason": "HANDLER_ERROR"},
        },
        {
            "attempt": 2,
            "workerId": "w/2",
            "startTime": "2026-01-01T00:00:02Z",
            "outcome": "running",
        },
    ]


@pytest.mark.parametrize("outcome", Outcome)
def test_the_contract_has_a_name_for_every_outcome(outcome: Outcome) -> None:
    assert job_pb2.Attempt.Outcome.Value(outcome.value)


def test_a_policy_of_zeros_is_shown_as_it_is() -> None:
    policy = RetryPolicy(1, timedelta(0), timedelta(0), 1.0, 0.0)
    message = job_message(Job(ID, "compute", Status.QUEUED, {}, NOW, NOW, retry_policy=policy))
    assert message.retry_policy.HasField("initial_backoff")
    assert message.retry_policy.HasField("jitter")


def test_an_accepted_report_has_the_new_status_and_attempt() -> None:
    accepted = outcome_message(Applied(Status.QUEUED, 3)).accepted
    assert (accepted.status, accepted.attempt) == (job_pb2.Job.queued, 3)


# --- How large answers may be: the limit is the default of gRPC clients ---


def sized(number: int, payload: dict[str, Any], **fields: Any) -> Job:
    job_id = UUID(f"0198f0a0-0000-7000-8000-{number:012}")
    return Job(job_id, "compute", Status.QUEUED, payload, NOW, NOW, **fields)


FLAGS = {"text": "x" * 65_500, "flags": {str(number): True for number in range(600)}}
"""Sixty of these payloads are less than 4 MiB as stored, and more as protobuf."""


def pages(jobs: list[Job], next_after: UUID | None = None) -> list[list[str]]:
    """The ids on each page of the jobs, if the store finds all remaining jobs each time."""
    found = []
    rest = jobs
    while rest:
        message = list_message(JobPage(rest, next_after), str)
        assert message.ByteSize() <= MAX_ANSWER_BYTES
        assert message.jobs
        found.append([job.id for job in message.jobs])
        rest = rest[len(message.jobs) :]
        assert message.next_page_token == (found[-1][-1] if rest else str(next_after or ""))
    return found


@pytest.mark.parametrize("next_after", [None, ID])
def test_a_page_is_cut_at_the_limit_of_clients_and_the_next_one_continues_there(
    next_after: UUID | None,
) -> None:
    jobs = [sized(number, FLAGS) for number in range(60)]

    assert len(jobs) * job_message(jobs[0]).ByteSize() > MAX_ANSWER_BYTES
    found = pages(jobs, next_after)
    assert len(found) == 2
    assert [job_id for page in found for job_id in page] == [str(job.id) for job in jobs]


def test_a_page_that_just_fits_is_not_cut() -> None:
    text = {"text": "x" * (MAX_BYTES - 500)}
    jobs = [sized(number, text) for number in range(4)]
    assert [len(page) for page in pages(jobs)] == [4]
    assert [len(page) for page in pages([*jobs, sized(4, {"text": "x" * 2000})])] == [4, 1]


def test_the_basic_view_leaves_out_what_may_be_large() -> None:
    past = (Attempt(1, "w", NOW, NOW, Outcome.LOST),)
    job = sized(1, {"a": 1}, result={"b": 2}, past=past, labels={"c": "3"})
    full = job_message(job)
    [listed] = list_message(JobPage([job], None), str, View.BASIC).jobs
    [found] = found_message([job.id], [job], View.BASIC).jobs
    assert listed == found
    assert {field.name for field, _ in full.ListFields()} - {
        field.name for field, _ in listed.ListFields()
    } == {"payload", "result", "history"}


def test_a_list_has_a_total_size_only_if_it_was_asked_for() -> None:
    assert not list_message(JobPage([], None), str).HasField("total_size")
    none = list_message(JobPage([], None), str, count=JobCount(0, is_capped=False))
    assert none.HasField("total_size")
    capped = list_message(JobPage([], None), str, count=JobCount(7, is_capped=True))
    assert (capped.total_size, capped.total_size_capped) == (7, True)


def the_largest_job() -> Job:
    largest = {"text": "x" * (MAX_BYTES - 30)}
    failure = Failure(13, "\U0001f600" * 4096, "R" * 63)
    past = tuple(Attempt(n, "w" * 200, NOW, NOW, Outcome.ERRORED, failure.shortened()) for n in range(1, 21))
    return sized(
        0,
        largest,
        result=largest,
        labels={f"{n:063}": "\U0001f600" * 128 for n in range(32)},
        error=failure,
        past=past,
        worker_id="w" * 200,
        progress=Progress(50.0, "\U0001f600" * 512),
    )


def test_the_largest_job_fits_into_every_answer() -> None:
    job = the_largest_job()
    assert job_message(job).ByteSize() > 2 * (MAX_BYTES - 100)
    assert job_message(job).ByteSize() <= MAX_ANSWER_BYTES
    assert created_message([job]).ByteSize() <= MAX_ANSWER_BYTES
    assert len(found_message([job.id], [job]).jobs) == 1
    assert [len(page) for page in pages([job, job])] == [1, 1]


def test_batch_get_refuses_an_answer_above_the_limit_of_clients() -> None:
    jobs = [sized(number, {"text": "x" * (MAX_BYTES - 500)}) for number in range(4)]
    ids = [job.id for job in jobs]
    assert found_message([*ids, ID], [*jobs, None]).ByteSize() <= MAX_ANSWER_BYTES

    other = sized(5, {"text": "x" * 2000})
    with pytest.raises(AnswerTooLarge):
        found_message([*ids, other.id], [*jobs, other])


def test_batch_create_omits_large_fields_from_an_answer_above_the_limit_of_clients() -> None:
    labels = {f"{n:063}": "x" * 128 for n in range(32)}
    few = created_message([sized(n, {}, labels=labels) for n in range(100)])
    assert all(outcome.job.labels == labels for outcome in few.outcomes)

    many = created_message([sized(n, {}, labels=labels) for n in range(1000)])
    assert many.ByteSize() <= MAX_ANSWER_BYTES
    assert not any(outcome.job.labels for outcome in many.outcomes)
    assert len({outcome.job.id for outcome in many.outcomes}) == 1000
