"""Counts of queued jobs, by the index (status, type, due_time) alone: WaitingJobs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from api_server.adapters.mongo.client import READ_SECONDS, Collection, Document, within
from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.domain.job import Status

EVER = {"$gte": datetime.min.replace(tzinfo=UTC)}
"""Any due_time. The index is partial: a query must show that it wants no job without a due_time."""


class MongoWaitingJobs:
    """See api_server.ports.WaitingJobs. No document is read."""

    def __init__(self, jobs: Collection) -> None:
        self._jobs = jobs

    async def types(self, limit: int) -> Sequence[str]:
        found: list[str] = []
        where: Document = {"status": Status.QUEUED.value, "type": {"$gt": ""}, "due_time": EVER}
        while len(found) < limit:
            async with within(READ_SECONDS):
                # One key of the index: all further jobs of the same type are skipped.
                first: Any = await self._jobs.find_one(
                    where, {"_id": 0, "type": 1}, sort=[("type", 1)], hint=BY_DUE_TIME
                )
            if first is None:
                break
            found.append(first["type"])
            where["type"] = {"$gt": first["type"]}
        return found

    async def count(self, job_type: str, limit: int) -> int:
        where = {"status": Status.QUEUED.value, "type": job_type, "due_time": EVER}
        async with within(READ_SECONDS):
            count: int = await self._jobs.count_documents(where, limit=limit, hint=BY_DUE_TIME)
        return count
