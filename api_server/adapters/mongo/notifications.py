"""Jobs that have ended, and whose notification is not stored yet: the UnnotifiedStore.

The mark is set when the job is created, and again by Retry. The write that ends a job leaves it as it is, so
it costs such a job and all others nothing. An index has the marked jobs only, so jobs without `notify` cost
nothing either.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from api_server.adapters.mongo.client import Collection
from api_server.adapters.mongo.indexes import BY_UNNOTIFIED
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.writes import Writes, resend
from api_server.domain.job import TERMINAL, Status
from api_server.domain.notification import EndedJob

FIELDS = {"type": 1, "status": 1, "revision": 1, "end_time": 1, "notify": 1}
ENDED = sorted(status.value for status in TERMINAL)


class MongoUnnotifiedStore:
    """See api_server.notifications.ports.UnnotifiedStore."""

    def __init__(self, jobs: Collection, reads: Reads, writes: Writes) -> None:
        self._jobs = jobs
        self._reads = reads
        self._writes = writes

    async def unnotified(self, limit: int) -> list[EndedJob]:
        where = {"unnotified": True, "status": {"$in": ENDED}}

        async def read() -> list[EndedJob]:
            cursor = self._jobs.find(where, FIELDS).hint(BY_UNNOTIFIED).limit(limit)
            return [_ended_job(document) async for document in cursor]

        return await self._reads.run(read)

    async def mark_notified(self, ended: Sequence[EndedJob]) -> None:
        by_revision: dict[int, list[UUID]] = {}
        for each in ended:
            by_revision.setdefault(each.revision, []).append(each.id)
        for revision, job_ids in by_revision.items():
            # Retry makes another revision, whose end must be notified, too.
            where = {"_id": {"$in": job_ids}, "revision": revision}
            await self._writes.run(partial(resend, partial(self._remove_mark, where)))

    async def _remove_mark(self, where: Mapping[str, Any]) -> None:
        await self._jobs.update_many(where, {"$unset": {"unnotified": ""}}, hint=[("_id", 1)])


def _ended_job(document: Mapping[str, Any]) -> EndedJob:
    return EndedJob(
        document["_id"],
        document["type"],
        Status(document["status"]),
        document["revision"],
        document["end_time"],
        document["notify"]["url"],
    )
