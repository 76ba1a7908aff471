"""Jobs decoded from the contract's message."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import grpc
from google.rpc.code_pb2 import Code

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_pb2, notify_pb2
from job_client.job import Attempt, Failure, Job, Progress, Status, to_job
from job_client.notify import Notify
from job_client.retry_policy import RetryPolicy

JOB_ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"


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
        notify=notify_pb2.Notify(url="https://a.example/hook"),
        warnings=["no worker takes it"],
        retry_policy=job_pb2.RetryPolicy(max_attempts=5, multiplier=1.5, jitter=0.5),
        history=[
            job_pb2.Attempt(
                attempt=1,
                worker_id="w/0",
                outcome=job_pb2.Attempt.errored,
                error=job_pb2.JobError(code=Code.INTERNAL, reason="HANDLER_ERROR", message="at first"),
            ),
            job_pb2.Attempt(attempt=2, outcome=job_pb2.Attempt.running),
        ],
    )
    message.timeout.FromSeconds(30)
    message.retry_policy.initial_backoff.FromMilliseconds(1500)
    message.retry_policy.max_backoff.FromSeconds(60)
    message.history[0].start_time.FromDatetime(moment(50))
    message.history[0].end_time.FromDatetime(moment(51))
    message.history[1].start_time.FromDatetime(moment(52))
    for index, name in enumerate(TIMES):
        getattr(message, name).FromDatetime(moment(index))
    return message


def test_a_job_has_every_field_of_the_contract_with_its_value() -> None:
    contract = {field.name for field in job_pb2.Job.DESCRIPTOR.fields}
    message = message_with_all_fields()
    assert {field.name for field, _ in message.ListFields()} == contract, "the test must set every field"
    job = to_job(message)
    expected = {
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
        "notify": Notify("https://a.example/hook"),
        "warnings": ("no worker takes it",),
        "timeout": timedelta(seconds=30),
        "retry_policy": RetryPolicy(5, timedelta(seconds=1.5), timedelta(minutes=1), 1.5, 0.5),
        "history": (
            Attempt(
                1,
                "w/0",
                moment(50),
                moment(51),
                "errored",
                Failure(grpc.StatusCode.INTERNAL, "HANDLER_ERROR", "at first"),
            ),
            Attempt(2, "", moment(52), None, "running", None),
        ),
        **{name: moment(index) for index, name in enumerate(TIMES)},
    }
    assert {field.name: getattr(job, field.name) for field in fields(Job)} == expected
    assert set(expected) == contract


def test_the_job_of_a_create_has_no_payload_and_all_else() -> None:
    message = message_with_all_fields()
    assert to_job(message, with_payload=False) == replace(to_job(message), payload=None)


def test_fields_that_are_not_set_are_none_or_empty() -> None:
    job = to_job(job_pb2.Job(id=JOB_ID))
    unset = {"payload", "result", "error", "progress", "retry_policy", "timeout", "notify", *TIMES}
    unset -= {"create_time", "update_time"}
    assert {name for name in unset if getattr(job, name) is not None} == set()
    assert (job.labels, job.history) == ({}, ())


def test_a_job_knows_every_status_of_the_contract() -> None:
    for name, number in job_pb2.Job.Status.items():
        job = to_job(job_pb2.Job(status=number))
        assert job.status == name
        assert job.has_ended == (job.status in {Status.COMPLETED, Status.FAILED, Status.CANCELLED})
