"""Deletes jobs that have ended."""

import asyncio
from datetime import datetime
from functools import partial
from uuid import UUID

from api_server.adapters.mongo.client import Collection
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import pauses, resend
from api_server.domain.errors import JobNotEnded
from api_server.domain.job import Status

VERSION = ("_id", "status", "revision", "create_time")
"""The deletion has these fields as its guard: a job that has changed since it was read is read again."""


async def delete_ended(jobs: Collection, reads: Reads, job_id: UUID) -> bool:
    """See JobStore.delete. Use it inside Writes.run, which limits the time.

    It deletes the job that it found first. A job that is created meanwhile with the same id is another job.
    """
    create_time: datetime | None = None
    fields = dict.fromkeys((*VERSION, "attempt"), 1)
    for pause in pauses():
        read = partial(jobs.find_one, {"_id": job_id}, fields)
        found = await resend(partial(reads.up_to_date, read))
        if found is None or create_time not in (None, found["create_time"]):
            # An earlier sending may have deleted the job.
            return create_time is not None
        create_time = found["create_time"]
        status = Status(found["status"])
        if not status.is_terminal:
            raise JobNotEnded(job_id, status, found["attempt"])
        answer = await resend(partial(jobs.delete_one, {name: found[name] for name in VERSION}))
        if answer.deleted_count:
            return True
        await asyncio.sleep(pause)
    raise AssertionError("pauses never end")
