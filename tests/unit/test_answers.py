"""A job as it is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict

from api_server.domain.attempt import Attempt, Failure, Outcome
from api_server.domain.job import Job, Progress, Status
from api_server.domain.judgement import Taken
from api_server.domain.retry import RetryPolicy
from api_server.rpc.answers import job_message, outcome_message
from jobs.v1 import job_pb2

ID = UUID("0198f0a0-0000-7000-8000-000000000001")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def shown(job: Job) -> dict[str, Any]:
    """As a REST client reads it."""
    message: dict[str, Any] = MessageToDict(job_message(job))
    return message


def test_a_new_job_shows_the_policy_that_holds_and_nothing_that_has_not_happened() -> None:
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


def test_a_job_shows_its_times_policy_progress_and_history() -> None:
    past = Attempt(1, "w/1", NOW, NOW + SECOND, Outcome.ERRORED, Failure(13, "broken", "HANDLER_ERROR"))
    job = Job(
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
        past=(past,),
        schedule_time=NOW + SECOND,
        expire_time=NOW + 9 * SECOND,
        timeout=timedelta(milliseconds=1500),
        progress=Progress(12.5, "reading"),
        claim_id="secret",
        cancel_id="secret",
        retry_id="secret",
    )
    message = shown(job)
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
    assert message["history"] == [
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
    assert "secret" not in str(message)


@pytest.mark.parametrize("outcome", Outcome)
def test_the_contract_has_a_word_for_every_outcome(outcome: Outcome) -> None:
    assert job_pb2.Attempt.Outcome.Value(outcome.value)


def test_a_policy_of_zeros_is_shown_as_it_is() -> None:
    policy = RetryPolicy(1, timedelta(0), timedelta(0), 1.0, 0.0)
    message = job_message(Job(ID, "compute", Status.QUEUED, {}, NOW, NOW, retry_policy=policy))
    assert message.retry_policy.HasField("initial_backoff")
    assert message.retry_policy.HasField("jitter")


def test_a_report_that_was_accepted_says_what_came_of_it() -> None:
    accepted = outcome_message(Taken(Status.QUEUED, 3)).accepted
    assert (accepted.status, accepted.attempt) == (job_pb2.Job.queued, 3)
