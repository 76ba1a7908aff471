"""The schemas of handlers by a hash of their content: the SchemaStore.

They are apart from the workers' documents, which every heartbeat changes. There is one document for each
schema, however many workers have it. A worker's document names it.
"""

from collections.abc import Collection as Ids
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from api_server.adapters.mongo.client import DUPLICATE_KEY, Collection, Document
from api_server.adapters.mongo.indexes import WORKER_SECONDS
from api_server.adapters.mongo.reads import Reads
from api_server.adapters.mongo.workers import HANDLERS
from api_server.adapters.mongo.writes import Writes, resend
from api_server.domain.handler_schema import HandlerSchema
from api_server.ports import Clock

MAX_SCHEMAS = 2000
"""How many schemas are stored: 256 types, each with a few versions. Together they have 128 MiB at most."""
KEPT = timedelta(seconds=2 * WORKER_SECONDS)
"""How long a schema is kept after its latest registration, though no worker names it: a worker that registers
stores its schemas first, and then itself.
"""

log = structlog.get_logger()


class MongoSchemaStore:
    """See api_server.schema_ports.SchemaStore."""

    def __init__(
        self, schemas: Collection, workers: Collection, reads: Reads, writes: Writes, clock: Clock
    ) -> None:
        self._schemas = schemas
        self._workers = workers
        self._reads = reads
        self._writes = writes
        self._clock = clock

    async def add(self, schemas: Sequence[HandlerSchema]) -> None:
        if not schemas:
            return
        ids = [each.id for each in schemas]
        known = {each.id for each in await self.read(ids)}
        new = [each for each in schemas if each.id not in known]
        if new:
            await self._writes.run(lambda: resend(self._forget))
            count = await self._reads.run(self._schemas.estimated_document_count)
            room = max(0, MAX_SCHEMAS - count)
            if new[room:]:
                types = sorted({each.type for each in new[room:]})
                log.error("schemas_not_stored", types=types, reason="too many schemas are stored")
                skipped = {each.id for each in new[room:]}
                schemas = [each for each in schemas if each.id not in skipped]
        await self._writes.run(lambda: resend(lambda: self._store(schemas)))

    async def read(self, ids: Ids[str]) -> Sequence[HandlerSchema]:
        async def read() -> Sequence[HandlerSchema]:
            cursor = self._schemas.find({"_id": {"$in": list(ids)}})
            return [_to_schema(document) async for document in cursor]

        return await self._reads.run(read)

    async def _store(self, schemas: Sequence[HandlerSchema]) -> None:
        now = self._clock.now()
        writes = [
            UpdateOne(
                {"_id": each.id},
                {"$setOnInsert": _from_schema(each) | {"create_time": now}, "$max": {"use_time": now}},
                upsert=True,
            )
            for each in schemas
        ]
        if not writes:
            return
        try:
            await self._schemas.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            # Another server has stored the same schema at the same time.
            others = [each for each in error.details["writeErrors"] if each["code"] != DUPLICATE_KEY]
            if others or error.details["writeConcernErrors"]:
                raise

    async def _forget(self) -> None:
        """Delete the schemas that no worker names any more."""
        named = [each.rpartition(":")[2] for each in await self._workers.distinct(HANDLERS)]
        old = {"use_time": {"$lt": self._clock.now() - KEPT}, "_id": {"$nin": named}}
        await self._schemas.delete_many(old)


def _from_schema(schema: HandlerSchema) -> Document:
    return {"type": schema.type, "payload": schema.payload_text, "result": schema.result_text}


def _to_schema(document: Mapping[str, Any]) -> HandlerSchema:
    return HandlerSchema(
        document["type"], document["payload"], document["result"], registered_at=document["create_time"]
    )
