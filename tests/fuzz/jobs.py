"""Checks every job in an answer."""

from collections.abc import Iterator
from typing import Any

from job_client._gen.jobs.v1 import job_pb2

TERMINAL = {job_pb2.Job.completed, job_pb2.Job.failed, job_pb2.Job.cancelled}
WITH_ERROR = {job_pb2.Job.failed, job_pb2.Job.cancelled}


def job_faults(job: Any, *, is_whole: bool = True) -> Iterator[str]:
    """What is wrong with a job in an answer.

    `is_whole`: whether this kind of answer has payload and result.
    """
    is_terminal = job.status in TERMINAL
    rules = {
        "has an id and a type": job.id and job.type,
        f"has {'a' if is_whole else 'no'} payload": job.HasField("payload") == is_whole,
        "has a status": job.status in job_pb2.Job.Status.values() and job.status,
        "has a revision": job.revision >= 1,
        "counts its claims": job.attempt >= (1 if job.HasField("start_time") else 0),
        "was stored before it changed": job.create_time.ToNanoseconds() <= job.update_time.ToNanoseconds(),
        "has an end if it has ended": is_terminal == job.HasField("end_time"),
        "has a start if it is processing": job.HasField("start_time") or job.status != job_pb2.Job.processing,
        "has a result if it is completed": (job.status == job_pb2.Job.completed and is_whole)
        == job.HasField("result"),
        "has an error if it failed or was cancelled": (job.status in WITH_ERROR) == job.HasField("error"),
        "has no worker while it is queued": not job.worker_id or job.status != job_pb2.Job.queued,
    }
    yield from (f"job {job.id}: it is not true that it {rule}" for rule, holds in rules.items() if not holds)
