"""Idempotency keys: the KeyStore.

MongoDB deletes expired keys within about a minute; until then they count as absent.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from bson.binary import Binary
from pymongo import ReturnDocument

from api_server.adapters.mongo.client import Collection
from api_server.adapters.mongo.writes import Writes, resend


class MongoKeyStore:
    """See api_server.ports.KeyStore."""

    def __init__(self, keys: Collection, writes: Writes) -> None:
        self._keys = keys
        self._writes = writes

    async def remember(
        self, key: str, job_id: UUID, request_hash: bytes, now: datetime, expire_time: datetime
    ) -> tuple[UUID, bytes]:
        mine = {
            "_id": key,
            "job_id": job_id,
            "request_hash": Binary(request_hash),
            "expire_time": expire_time,
        }
        alive = {"$gt": ["$expire_time", now]}
        replace_dead = [{"$replaceWith": {"$cond": [alive, "$$ROOT", {"$literal": mine}]}}]

        # One statement decides, so two concurrent callers get the same answer. Sent again, it changes
        # nothing.
        async def write() -> Any:
            return await resend(
                lambda: self._keys.find_one_and_update(
                    {"_id": key}, replace_dead, upsert=True, return_document=ReturnDocument.AFTER
                )
            )

        stored = await self._writes.run(write)
        return stored["job_id"], bytes(stored["request_hash"])
