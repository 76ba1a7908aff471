"""Counts of jobs that have not ended, by the index (status, type, due_time): JobCounts."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from api_server.adapters.mongo.client import READ_SECONDS, Collection, Document, within
from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.domain.job import Status
from api_server.stats_ports import Oldest

EVER = {"$gte": datetime.min.replace(tzinfo=UTC)}
"""Any due_time. The index is partial: a query must show that it wants no job without a due_time."""
EXAMINED = 1000
"""How many queued jobs of a type are read to find the oldest."""
EXAMINE_SECONDS = 0.5


class MongoJobCounts:
    """See api_server.stats_ports.JobCounts. Only `oldest` reads documents."""

    def __init__(self, jobs: Collection) -> None:
        self._jobs = jobs

    async def types(self, status: Status, limit: int) -> Sequence[str]:
        found: list[str] = []
        where: Document = {"status": status.value, "type": {"$gt": ""}, "due_time": EVER}
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

    async def count(self, status: Status, job_type: str, limit: int) -> int:
        where = {"status": status.value, "type": job_type, "due_time": EVER}
        async with within(READ_SECONDS):
            count: int = await self._jobs.count_documents(where, limit=limit, hint=BY_DUE_TIME)
        return count

    async def oldest(self, job_type: str, now: datetime) -> Oldest:
        # A due_time moves ahead while a job waits. So both new and old jobs are at either end of the index.
        async with within(READ_SECONDS):
            try:
                with pymongo.timeout(EXAMINE_SECONDS):
                    ends = await asyncio.gather(self._end(job_type, 1), self._end(job_type, -1))
            except PyMongoError as error:
                if error.timeout:
                    return Oldest(None, is_capped=True)
                raise
        since = [
            max(document["update_time"], document.get("next_attempt_time") or document["update_time"])
            for documents in ends
            for document in documents
        ]
        is_capped = len({document["_id"] for documents in ends for document in documents}) >= EXAMINED
        return Oldest(min((each for each in since if each <= now), default=None), is_capped)

    async def _end(self, job_type: str, direction: int) -> list[Document]:
        """Half of EXAMINED jobs from one end of the index."""
        where = {"status": Status.QUEUED.value, "type": job_type, "due_time": EVER}
        cursor = self._jobs.find(where, {"update_time": 1, "next_attempt_time": 1})
        cursor = cursor.sort("due_time", direction).hint(BY_DUE_TIME).limit(EXAMINED // 2)
        found: list[Document] = await cursor.to_list(None)
        return found
