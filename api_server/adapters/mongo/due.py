"""Jobs whose due_time has come, and the lease of the server that looks after them: DueStore and
LeaderLease.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from pymongo import ReturnDocument

from api_server.adapters.mongo.client import (
    RAW_CODEC,
    READ_SECONDS,
    Collection,
    Document,
    read_up_to,
    within,
)
from api_server.adapters.mongo.document_parts import (
    decode,
    from_position,
    to_labels,
    to_position,
    to_timeout,
    to_tries,
)
from api_server.adapters.mongo.expiry import expire_all, expire_due_leases
from api_server.adapters.mongo.indexes import BY_DUE_TIME
from api_server.adapters.mongo.writes import Writes, resend
from api_server.domain.job import Dispatch, Status
from api_server.ports import EndedLeases, Published
from api_server.recovery.ports import DueJob

MAX_PAYLOAD = 128 * 1024
"""Bytes (BSON). A larger payload is not sent in a record."""
MAX_BATCH = 16 * 1024 * 1024
"""Bytes that one call of `due` reads at most: more than 100 of the largest payloads."""
FIRST_WAIT, LONGEST_WAIT = 60_000, 3_600_000
"""Milliseconds until the due loop looks at a published job again. The wait doubles each time."""
MIN_FACTOR, SPREAD = 0.75, 0.5
"""The wait is multiplied by a random factor from 0.75 to 1.25."""


class MongoDueStore:
    """See api_server.recovery.ports.DueStore.

    Both scans use the index (status, type, due_time). `due` examines only the jobs that it returns: a million
    waiting jobs of one type cost another type nothing. `expire_leases` names no type: the index skips from
    type to type.
    """

    def __init__(self, jobs: Collection, writes: Writes) -> None:
        self._jobs = jobs
        self._writes = writes

    async def expire_leases(self, now: datetime, limit: int) -> EndedLeases:
        return await expire_due_leases(self._jobs, self._writes, now, limit)

    async def expire(self, job_type: str, job_ids: Sequence[UUID], now: datetime) -> int:
        return await expire_all(self._jobs, self._writes, job_type, job_ids, now)

    async def has_due(self, job_types: Sequence[str], now: datetime) -> bool:
        """See the port. Examines at most one job of each type."""
        waiting = {
            "status": Status.QUEUED.value,
            "type": {"$in": list(job_types)},
            "due_time": {"$lte": now},
        }
        async with within(READ_SECONDS):
            return await self._jobs.find_one(waiting, {"_id": 1}, hint=BY_DUE_TIME) is not None

    async def due(
        self, job_type: str, now: datetime, limit: int, after: datetime | None = None
    ) -> list[DueJob]:
        """See the port. Stops at MAX_BATCH bytes. A payload above MAX_PAYLOAD is not read."""
        times = {"$lte": now} if after is None else {"$lte": now, "$gt": after}
        waiting = {"status": Status.QUEUED.value, "type": job_type, "due_time": times}
        too_large = {"$gt": [{"$bsonSize": "$payload"}, MAX_PAYLOAD]}
        fields = {
            "type": 1,
            "attempt": 1,
            "record": 1,
            "timeout": 1,
            "losses": 1,
            "labels": 1,
            "retry_policy": 1,
            "due_time": 1,
            "expire_time": 1,
            "payload": {"$cond": [too_large, "$$REMOVE", "$payload"]},
        }
        jobs = self._jobs.with_options(codec_options=RAW_CODEC)
        async with within(READ_SECONDS):
            cursor = jobs.find(waiting, fields).sort("due_time", 1).hint(BY_DUE_TIME).limit(limit)
            documents, _ = await read_up_to(cursor, MAX_BATCH)
        return [_due_job(decode(document), now) for document in documents]

    async def mark_published(self, published: Sequence[Published], now: datetime) -> None:
        by_attempt: dict[int, list[Published]] = {}
        for each in published:
            by_attempt.setdefault(each.attempt, []).append(each)
        for attempt, group in by_attempt.items():
            where = {
                "_id": {"$in": [each.job_id for each in group]},
                "status": Status.QUEUED.value,
                "attempt": attempt,
                # Earlier than any time that a mark sets, so that a mark that is sent again has no effect.
                "due_time": {"$lt": now + timedelta(milliseconds=FIRST_WAIT * MIN_FACTOR)},
            }
            await self._writes.run(partial(self._update, where, _mark(group, now)))

    async def _update(self, where: Document, update: Document | list[Document]) -> int:
        """How many matched."""
        answer = await resend(lambda: self._jobs.update_many(where, update, hint=[("_id", 1)]))
        return int(answer.matched_count)


def _due_job(document: Mapping[str, Any], now: datetime) -> DueJob:
    dispatch = Dispatch(
        document["_id"],
        document["type"],
        document["attempt"],
        document.get("payload"),
        to_timeout(document),
        document.get("losses", 0),
        labels=to_labels(document.get("labels", ())),
        max_attempts=to_tries(document).policy.max_attempts,
    )
    record = document.get("record")
    is_expired = "expire_time" in document and document["expire_time"] <= now
    position = to_position(record) if record is not None else None
    return DueJob(dispatch, position, document["due_time"], is_expired)


def _mark(published: Sequence[Published], now: datetime) -> list[Document]:
    """The pipeline that stores the position of each job's record, counts the record, and moves `due_time`
    ahead.
    """
    dispatches = {"$ifNull": ["$dispatches", 0]}
    wait = {"$min": [LONGEST_WAIT, {"$multiply": [FIRST_WAIT, {"$pow": [2, dispatches]}]}]}
    spread = {"$add": [MIN_FACTOR, {"$multiply": [SPREAD, {"$rand": {}}]}]}
    due_time = {"$add": [now, {"$toLong": {"$multiply": [wait, spread]}}]}
    # $min ignores a missing field.
    due_time = {"$min": [due_time, "$expire_time"]}
    position = {"$indexOfArray": [{"$literal": [each.job_id for each in published]}, "$_id"]}
    record = {"$arrayElemAt": [{"$literal": [from_position(each.position) for each in published]}, position]}
    return [
        {"$set": {"due_time": due_time, "dispatches": {"$add": [dispatches, 1]}, "record": record}},
    ]


class MongoLeaderLease:
    """See api_server.recovery.ports.LeaderLease.

    The lease is one document. The database's own time decides when it ends.
    """

    def __init__(self, leases: Collection, name: str, writes: Writes) -> None:
        self._leases = leases
        self._name = name
        self._writes = writes

    async def acquire(self, holder: str, seconds: float) -> bool:
        # A lease that ends more than two lease times from now was given by a primary whose clock was ahead.
        given = {
            "$and": [
                {"$gt": ["$expire_time", "$$NOW"]},
                {"$lte": ["$expire_time", {"$add": ["$$NOW", round(2000 * seconds)]}]},
            ]
        }
        free = {"$not": [given]}
        mine = {"$or": [{"$eq": ["$holder", {"$literal": holder}]}, free]}
        expire_time = {"$add": ["$$NOW", round(seconds * 1000)]}
        take = {
            "holder": {"$cond": [mine, {"$literal": holder}, "$holder"]},
            "expire_time": {"$cond": [mine, expire_time, "$expire_time"]},
        }

        async def write() -> Any:
            return await resend(
                lambda: self._leases.find_one_and_update(
                    {"_id": self._name}, [{"$set": take}], upsert=True, return_document=ReturnDocument.AFTER
                )
            )

        lease = await self._writes.run(write)
        return bool(lease["holder"] == holder)

    async def release(self, holder: str) -> None:
        async def write() -> None:
            await resend(lambda: self._leases.delete_one({"_id": self._name, "holder": holder}))

        await self._writes.run(write)
