"""A user's module with one handler. No server knows its type before a worker registers it."""

from worker_service import Job, handler

JOB_TYPE = "newcomer"


@handler(JOB_TYPE)
async def welcome(job: Job) -> dict[str, object]:
    return {"hello": job.payload.get("name")}
