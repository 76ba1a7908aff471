"""JSON has the names and forms of the REST API."""

from datetime import timedelta

from job_client.cli.json_form import plain
from job_client.job import Attempt, Progress
from job_client.retry_policy import RetryPolicy
from tests.unit.job_client.cli.fake_client import NOON, failure, make_job


def test_a_job_has_the_names_of_the_rest_api() -> None:
    job = make_job(
        status="failed",
        payload={"snake_case": [{"inner_key": 1.5}]},
        error=failure("m"),
        progress=Progress(50.0, "half"),
        retry_policy=RetryPolicy(3, timedelta(seconds=1), timedelta(minutes=5), 2.0, 0.2),
        timeout=timedelta(milliseconds=1500),
        history=(Attempt(1, "w/1", NOON, None, "running", None),),
    )
    found = plain(job)
    assert found["status"] == "failed"
    assert found["payload"] == {"snake_case": [{"inner_key": 1.5}]}
    assert found["createTime"] == "2026-05-01T12:00:00.000Z"
    assert found["timeout"] == "1.5s"
    assert found["error"] == {"code": "INTERNAL", "reason": "HANDLER_ERROR", "message": "m"}
    assert found["progress"] == {"percent": 50, "message": "half"}
    assert found["retryPolicy"]["initialBackoff"] == "1s"
    assert found["history"] == [
        {"attempt": 1, "workerId": "w/1", "startTime": "2026-05-01T12:00:00.000Z", "outcome": "running"}
    ]
    assert "startTime" not in found
