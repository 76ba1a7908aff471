"""Finds jobs that have not ended by the index that has only these: the UnfinishedJobs."""

from typing import Any
from uuid import UUID

import pymongo
from pymongo.errors import ExecutionTimeout, NetworkTimeout, OperationFailure
from pymongo.read_concern import ReadConcern

from api_server.adapters.mongo.client import Collection
from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.walk import plan_walk
from api_server.domain.listing import JobFilter

SEARCH_SECONDS = 1.0
"""The index is not in the order of the ids, so all jobs in it are examined: some 100,000 in this time."""

NO_SNAPSHOT = frozenset({239, 246})
"""SnapshotTooOld and SnapshotUnavailable, which comes just after an index was built."""


class MongoUnfinishedJobs:
    """See api_server.operations.ports.UnfinishedJobs."""

    def __init__(self, jobs: Collection, reads: Reads) -> None:
        # A job moves in the index while it waits and runs. A read without a snapshot could miss it.
        self._jobs = jobs.with_options(read_concern=ReadConcern("snapshot"))
        self._reads = reads

    async def skip(self, wanted: JobFilter, after: UUID) -> UUID | None:
        walk = plan_walk(wanted, oldest_first=True)
        if walk is None:
            return None
        rest = walk.after(after)
        pipeline = [
            {"$match": {**rest.within, **rest.conditions, "due_time": {"$exists": True}}},
            {"$group": {"_id": None, "first": {"$min": "$_id"}}},
        ]

        async def read() -> UUID | None:
            try:
                with pymongo.timeout(SEARCH_SECONDS):
                    found: list[Any] = await self._jobs.aggregate(pipeline, hint=dict(BY_DUE_TIME)).to_list(1)
            except (ExecutionTimeout, NetworkTimeout):
                return after
            except OperationFailure as error:
                if error.code in NO_SNAPSHOT:
                    return after
                raise
            return UUID(int=found[0]["first"].int - 1) if found else None

        return await self._reads.run(read)
