"""The job types that workers have registered: the JobTypeStore.

They are one document, so that one guarded write keeps their number within its limit.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from pymongo.errors import DuplicateKeyError

from api_server.adapters.mongo.client import Collection, Document
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import Writes, resend

TYPES_ID = "types"
"""The `_id` of the only document in the collection."""
MAX_REGISTERED = 256
"""How many types may be registered. Each has a topic, and is looked at by the due loop."""


class MongoJobTypeStore:
    """See api_server.stats_ports.JobTypeStore."""

    def __init__(self, types: Collection, reads: Reads, writes: Writes) -> None:
        self._types = types
        self._reads = reads
        self._writes = writes

    async def names(self) -> Sequence[str]:
        async def read() -> Mapping[str, Any] | None:
            document: Mapping[str, Any] | None = await self._types.find_one({"_id": TYPES_ID})
            return document

        document = await self._reads.run(read)
        return () if document is None else tuple(document["names"])

    async def add(self, job_types: Sequence[str]) -> None:
        async def write() -> None:
            await resend(self._begin)
            for each in job_types:
                await resend(partial(self._add, each))

        await self._writes.run(write)

    async def _begin(self) -> None:
        """Store an empty list unless there is a list."""
        empty: Document = {"$setOnInsert": {"names": []}}
        # DuplicateKeyError: another server has stored it at the same time.
        with suppress(DuplicateKeyError):
            await self._types.update_one({"_id": TYPES_ID}, empty, upsert=True)

    async def _add(self, job_type: str) -> None:
        """Does nothing if the list is full."""
        has_room = {"_id": TYPES_ID, f"names.{MAX_REGISTERED - 1}": {"$exists": False}}
        await self._types.update_one(has_room, {"$addToSet": {"names": job_type}})
