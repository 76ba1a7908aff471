"""Jobs decoded from the contract's message."""

from dataclasses import fields, replace
from datetime import UTC, datetime

import grpc
from google.rpc.code_pb2 import Code

from contract_runtime.structs import dict_to_struct
from job_client.job import Failure, Job, Progress, Status, to_job
from jobs.v1 import job_pb2

JOB_ID = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"


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
        **{name: moment(index) for index, name in enumerate(TIMES)},
    }
    assert {field.name: getattr(job, field.name) for field in fields(Job)} == expected
    assert set(expected) == contract - LEFT_OUT


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
