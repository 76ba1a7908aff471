"""What must be true of every job, as readers see it and as it is stored."""

from collections.abc import Iterator
from typing import Any

from jobs.v1 import job_pb2

TERMINAL = {job_pb2.Job.completed, job_pb2.Job.failed, job_pb2.Job.cancelled}
ENDED_BADLY = {job_pb2.Job.failed, job_pb2.Job.cancelled}


def job_faults(job: Any, *, is_whole: bool = True) -> Iterator[str]:
    """What is wrong with a job that came as an answer. `is_whole`: whether such answers carry payload and result."""
    is_terminal = job.status in TERMINAL
    rules = {
        "has an id and a type": job.id and job.type,
        f"has {'a' if is_whole else 'no'} payload": job.HasField("payload") == is_whole,
        "has a status": job.status in job_pb2.Job.Status.values() and job.status,
        "has a revision": job.revision >= 1,
        "counts its claims": job.attempt >= (1 if job.HasField("start_time") else 0),
        "was stored before it changed": job.create_time.ToNanoseconds() <= job.update_time.ToNanoseconds(),
        "has an end if it has ended": is_terminal == job.HasField("end_time"),
        "has a start if it is under way": job.HasField("start_time") or job.status != job_pb2.Job.processing,
        "has a result if it is completed": (job.status == job_pb2.Job.completed and is_whole)
        == job.HasField("result"),
        "has an error if it ended badly": (job.status in ENDED_BADLY) == job.HasField("error"),
        "has no holder while it waits": not job.worker_id or job.status != job_pb2.Job.queued,
    }
    yield from (f"job {job.id}: not true that it {rule}" for rule, holds in rules.items() if not holds)
