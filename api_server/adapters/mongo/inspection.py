"""What is stored about one job, and how many jobs come before it: the JobInspection."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo.errors import PyMongoError

from api_server.adapters.mongo.client import RAW_CODEC, READ_SECONDS, Collection, within
from api_server.adapters.mongo.document_parts import decode
from api_server.adapters.mongo.documents import to_job
from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.adapters.mongo.reads import Reads
from api_server.domain.job import Job, Status
from api_server.domain.job_facts import Ahead, Inspected

EXAMINED = 1000
"""How many waiting jobs of a type are examined at most."""
EXAMINE_SECONDS = 0.5
"""How long that may take. Jobs with large payloads may have to be read from disk."""


class MongoJobInspection:
    """See api_server.stats_ports.JobInspection."""

    def __init__(self, jobs: Collection, reads: Reads) -> None:
        self._jobs = jobs
        self._undecoded = jobs.with_options(codec_options=RAW_CODEC)
        self._reads = reads

    async def inspect(self, job_id: UUID) -> Inspected | None:
        without = {"payload": 0, "result": 0, "labels": 0}

        async def read() -> RawBSONDocument | None:
            found: RawBSONDocument | None = await self._undecoded.find_one({"_id": job_id}, without)
            return found

        raw = await self._reads.run(read)
        if raw is None:
            return None
        document = decode(raw)
        record = document.get("record")
        return Inspected(
            to_job(document),
            document.get("due_time"),
            document.get("alone", False),
            None if record is None else record["partition"],
        )

    async def ahead(self, job: Job) -> Ahead | None:
        waiting = {"status": Status.QUEUED.value, "type": job.type, "due_time": {"$exists": True}}
        fields = {"update_time": 1, "next_attempt_time": 1}
        place = _place(job.id, job.update_time, job.next_attempt_time)
        async with within(READ_SECONDS):
            try:
                with pymongo.timeout(EXAMINE_SECONDS):
                    cursor = self._jobs.find(waiting, fields).hint(BY_DUE_TIME).limit(EXAMINED + 1)
                    documents = await cursor.to_list(None)
            except PyMongoError as error:
                if error.timeout:
                    return None
                raise
        count = sum(_place_of(document) < place for document in documents[:EXAMINED])
        return Ahead(count, is_capped=len(documents) > EXAMINED)


def _place_of(document: Mapping[str, Any]) -> tuple[datetime, UUID]:
    return _place(document["_id"], document["update_time"], document.get("next_attempt_time"))


def _place(job_id: UUID, update_time: datetime, next_attempt_time: datetime | None) -> tuple[datetime, UUID]:
    """What waiting jobs are ordered by: since when each could start, then by id."""
    return max(update_time, next_attempt_time or update_time), job_id
