"""The indexes, which a start creates if they are missing.

Each index makes every insert and every change slower: measure before you add one.
"""

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
"""How long it may take to build the indexes of existing jobs."""
WORKER_SECONDS = 3600
"""How long a worker stays known after its last heartbeat."""

INDEXES = {
    JOBS: [
        # Jobs that are due: waiting jobs of one type, and leases that have ended.
        IndexModel(BY_DUE_TIME, partialFilterExpression={"due_time": {"$exists": True}}),
        # Lists of failed and cancelled jobs, which are few.
        IndexModel(
            [("status", 1), ("_id", 1)],
            partialFilterExpression={"status": {"$in": ["failed", "cancelled"]}},
        ),
        # Lists by label.
        IndexModel([("labels", 1), ("_id", 1)], partialFilterExpression={"labels": {"$exists": True}}),
    ],
    IDEMPOTENCY_KEYS: [IndexModel([("expire_time", 1)], expireAfterSeconds=0)],
    WORKERS: [
        IndexModel([("last_heartbeat_time", 1)], expireAfterSeconds=WORKER_SECONDS),
        # Heartbeats find the worker by its id.
        IndexModel([("worker_id", 1)]),
    ],
}


BY_END_TIME = [("end_time", 1)]
"""Exists only if a retention is set: MongoDB deletes jobs by this index. Retry removes a job from it."""
INDEX_NOT_FOUND = 27
QUORUM = "majority"
"""How many members must have built an index before it is ready.

MongoDB's default is all members: one that is down would keep every API server from starting.
"""
LOG_SECONDS = 5.0
"""How often the log says which index a start waits for."""

log = structlog.get_logger()


async def create_indexes(database: Any) -> None:
    """Create those that are missing.

    Raises StoreUnavailable, or OperationFailure if one exists with other options.
    """
    with pymongo.timeout(BUILD_SECONDS):
        async with within(BUILD_SECONDS):
            for collection, indexes in INDEXES.items():
                await _built(database[collection].create_indexes(indexes, commitQuorum=QUORUM), collection)


async def set_retention(database: Any, seconds: int | None) -> None:
    """Let MongoDB delete jobs about `seconds` after their end; None: never. Raises StoreUnavailable.

    The setting is stored in the database: of servers with different settings, the one that starts last
    decides.
    """
    jobs = database[JOBS]
    with pymongo.timeout(BUILD_SECONDS):
        async with within(BUILD_SECONDS):
            if seconds is None:
                await _if_exists(jobs.drop_index(BY_END_TIME))
                return
            index = {"keyPattern": dict(BY_END_TIME), "expireAfterSeconds": seconds}
            if not await _if_exists(database.command("collMod", jobs.name, index=index)):
                by_end_time = IndexModel(
                    BY_END_TIME,
                    expireAfterSeconds=seconds,
                    partialFilterExpression={"end_time": {"$exists": True}},
                )
                await _built(jobs.create_indexes([by_end_time], commitQuorum=QUORUM), jobs.name)


async def _built(building: Awaitable[Any], collection: str) -> None:
    """Wait for the build, and log when it takes long."""
    future = asyncio.ensure_future(building)
    seconds = 0.0
    try:
        while not (await asyncio.wait([future], timeout=LOG_SECONDS))[0]:
            seconds += LOG_SECONDS
            log.warning(
                "waiting_for_indexes",
                collection=collection,
                seconds=seconds,
                reason="a majority of the replica set must have built them",
            )
        await future
    finally:
        future.cancel()


async def _if_exists(change: Awaitable[Any]) -> bool:
    """Apply a change of an index. False: the index does not exist."""
    try:
        await change
    except OperationFailure as error:
        if error.code in (NAMESPACE_NOT_FOUND, INDEX_NOT_FOUND):
            return False
        raise
    return True
