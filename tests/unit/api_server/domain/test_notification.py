"""The webhook of a job's end, and the job that delivers it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.job import Status
from api_server.domain.notification import (
    RETRY_POLICY,
    EndedJob,
    NotifyDefaults,
    webhook_id,
    webhook_job,
)
from api_server.domain.notify import Notify
from api_server.domain.retry import FailureHint, Tries, wait_before_next_try

ENDED = EndedJob(
    UUID("0198f0a0-0000-7000-8000-000000000001"),
    "compute",
    Status.FAILED,
    7,
    datetime(2026, 11, 29, 12, 0, 0, 45_000, tzinfo=UTC),
    "https://a.example/hook",
)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001 - hypothesis adds the zone
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)


def test_a_webhook_has_the_id_status_and_revision_and_neither_payload_nor_result() -> None:
    job = webhook_job(ENDED)
    assert job.payload == {
        "url": "https://a.example/hook",
        "event": {
            "type": "job.failed",
            "timestamp": "2026-11-29T12:00:00.045Z",
            "data": {
                "id": "0198f0a0-0000-7000-8000-000000000001",
                "type": "compute",
                "status": "failed",
                "revision": 7,
            },
        },
    }
    assert (job.type, job.status) == ("webhook-delivery", Status.QUEUED)
    assert job.labels == {"webhook.job": str(ENDED.id)}
    assert job.notify is None


@given(st.uuids(), st.integers(1, 2**31 - 1), TIMES)
def test_an_id_is_a_uuid_7_with_the_time_of_the_end_and_always_the_same(
    job_id: UUID, revision: int, time: datetime
) -> None:
    ended = replace(ENDED, id=job_id, revision=revision, end_time=time)
    found = webhook_id(ended)
    assert found == webhook_id(replace(ended))
    assert (found.version, found.variant) == (7, ENDED.id.variant)
    assert found.int >> 80 == round(time.timestamp() * 1000)
    assert found != webhook_id(replace(ended, revision=revision + 1))


def test_a_webhook_is_tried_over_three_days_and_a_half_with_growing_waits() -> None:
    waits = [
        wait_before_next_try(Tries(failures, RETRY_POLICY), FailureHint(), 0.5)
        for failures in range(RETRY_POLICY.max_attempts)
    ]
    assert waits[-1] is None
    times = [wait for wait in waits if wait is not None]
    assert times[0] == timedelta(seconds=5)
    assert times == sorted(times)
    assert timedelta(days=3) < sum(times, timedelta()) < timedelta(days=4)


def test_a_default_is_that_of_the_type_else_the_usual_one() -> None:
    defaults = NotifyDefaults("https://a.example/", {"data": "https://b.example/", "file": None})
    assert defaults.for_type("compute") == Notify("https://a.example/", is_default=True)
    assert defaults.for_type("data") == Notify("https://b.example/", is_default=True)
    assert defaults.for_type("file") is None
    assert defaults
    assert not NotifyDefaults(None, {"file": None})
