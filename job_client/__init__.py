"""An asyncio client of the jobs API.

async with JobClient("127.0.0.1:3000") as client:
    job = await client.create("compute", {"input": "hello"})
"""

from job_client.client import JobClient
from job_client.create_many import Outcome
from job_client.errors import (
    ClientClosed,
    DeadlineExceeded,
    InvalidArgument,
    JobClientError,
    JobIdTaken,
    JobNotFound,
    Unavailable,
    Violation,
)
from job_client.job import Attempt, Failure, Job, Progress, Status
from job_client.new_job import NewJob
from job_client.notify import Notify
from job_client.retry_policy import RetryPolicy

__all__ = [
    "Attempt",
    "ClientClosed",
    "DeadlineExceeded",
    "Failure",
    "InvalidArgument",
    "Job",
    "JobClient",
    "JobClientError",
    "JobIdTaken",
    "JobNotFound",
    "NewJob",
    "Notify",
    "Outcome",
    "Progress",
    "RetryPolicy",
    "Status",
    "Unavailable",
    "Violation",
]
