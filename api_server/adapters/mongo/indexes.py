"""The indexes, made at start if missing. Each costs every insert and every change: no other without a measurement."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pymongo
import structlog
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from api_server.adapters.mongo.client import within
from api_server.adapters.mongo.collections import IDEMPOTENCY_KEYS, JOBS, NAMESPACE_NOT_FOUND, WORKERS

BY_DUE_TIME = [("status", 1), ("type", 1), ("due_time", 1)]
BUILD_SECONDS = 600
"""How long a build over jobs that are there already may take."""
WORKER_SECONDS = 3600
"""How long a worker that has gone silent stays known."""

INDEXES = {
    JOBS: [
        # What must be looked at again: waiting jobs of one type, and leases that have run out.
        IndexModel(BY_DUE_TIME, partialFilterExpression={"due_time": {"$exists": True}}),
        # Listing what went wrong, which is rare among all jobs.
        IndexModel(
            [("status", 1), ("_id", 1)],
            partialFilterExpression={"status": {"$in": ["failed", "cancelled"]}},
        ),
        # Listing by label.
        IndexModel([("labels", 1), ("_id", 1)], partialFilterExpression={"labels": {"$exists": True}}),
    ],
    IDEMPOTENCY_KEYS: [IndexModel([("expire_time", 1)], expireAfterSeconds=0)],
    WORKERS: [
        IndexModel([("last_heartbeat_time", 1)], expireAfterSeconds=WORKER_SECONDS),
        # Heartbeats name the worker.
        IndexModel([("worker_id", 1)]),
    ],
}


BY_END_TIME = [("end_time", 1)]
"""Only where a retention is set: MongoDB deletes the jobs by this index. Retry takes a job out of it."""
INDEX_NOT_FOUND = 27
QUORUM = "majority"
"""How many members must have built an index before it is there. MongoDB's default is all: one that is down would keep
every API server from starting.
"""
TELL_SECONDS = 5.0
"""After so long, and each time again, the log says what is waited for."""

log = structlog.get_logger()


async def create_indexes(database: Any) -> None:
    """Harmless when they are there. Raises StoreUnavailable, or OperationFailure if one is there with other options."""
    with pymongo.timeout(BUILD_SECONDS):
        async with within(BUILD_SECONDS):
            for collection, indexes in INDEXES.items():
                await _built(database[collection].create_indexes(indexes, commitQuorum=QUORUM), collection)


async def set_retention(database: Any, seconds: int | None) -> None:
    """Have jobs deleted `seconds` after their end, within a minute or so; None: never. Raises StoreUnavailable.

    Servers that are told different times each set their own: the one that starts last decides.
    """
    jobs = database[JOBS]
    with pymongo.timeout(BUILD_SECONDS):
        async with within(BUILD_SECONDS):
            if seconds is None:
                await _if_there(jobs.drop_index(BY_END_TIME))
                return
            index = {"keyPattern": dict(BY_END_TIME), "expireAfterSeconds": seconds}
            if not await _if_there(database.command("collMod", jobs.name, index=index)):
                by_end_time = IndexModel(
                    BY_END_TIME,
                    expireAfterSeconds=seconds,
                    partialFilterExpression={"end_time": {"$exists": True}},
                )
                await _built(jobs.create_indexes([by_end_time], commitQuorum=QUORUM), jobs.name)


async def _built(building: Awaitable[Any], collection: str) -> None:
    """Wait for the end, and say so in the log when it takes long."""
    future = asyncio.ensure_future(building)
    seconds = 0.0
    try:
        while not (await asyncio.wait([future], timeout=TELL_SECONDS))[0]:
            seconds += TELL_SECONDS
            log.warning(
                "waiting_for_indexes",
                collection=collection,
                seconds=seconds,
                reason="a majority of the replica set must have built them",
            )
        await future
    finally:
        future.cancel()


async def _if_there(change: Awaitable[Any]) -> bool:
    """Whether the index that `change` is for was there."""
    try:
        await change
    except OperationFailure as error:
        if error.code in (NAMESPACE_NOT_FOUND, INDEX_NOT_FOUND):
            return False
        raise
    return True
