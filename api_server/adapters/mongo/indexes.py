"""The indexes, which a start creates if they are missing.

Each index makes every insert and every change slower: measure before you add one.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pymongo
import structlog
from pymongo import IndexModel

from api_server.adapters.mongo.client import within
from api_server.adapters.mongo.collections import (
    ACTIVITY,
    IDEMPOTENCY_KEYS,
    JOBS,
    OPERATIONS,
    WORKERS,
)

BY_DUE_TIME = [("status", 1), ("type", 1), ("due_time", 1)]
BY_UNFINISHED = [("is_unfinished", 1), ("_id", 1)]
BY_UNNOTIFIED = [("unnotified", 1), ("status", 1)]
BUILD_SECONDS = 600
"""How long it may take to build the indexes of existing jobs."""
WORKER_SECONDS = 3600
"""How long a worker stays known after its last heartbeat."""
ACTIVITY_SECONDS = 7200
"""How long the counts of a minute are kept. Readers are shown one hour."""

INDEXES = {
    JOBS: [
        # Jobs that are due: waiting jobs of one type, and leases that have ended.
        IndexModel(BY_DUE_TIME, partialFilterExpression={"due_time": {"$exists": True}}),
        # Lists of failed and cancelled jobs, which are few.
        IndexModel(
            [("status", 1), ("_id", 1)],
            partialFilterExpression={"status": {"$in": ["failed", "cancelled"]}},
        ),
        # Jobs that have ended, and whose notification is not stored yet. It has only jobs with `notify`.
        IndexModel(BY_UNNOTIFIED, partialFilterExpression={"unnotified": {"$exists": True}}),
        # Lists by label.
        IndexModel([("labels", 1), ("_id", 1)], partialFilterExpression={"labels": {"$exists": True}}),
    ],
    ACTIVITY: [IndexModel([("minute", 1)], expireAfterSeconds=ACTIVITY_SECONDS)],
    IDEMPOTENCY_KEYS: [IndexModel([("expire_time", 1)], expireAfterSeconds=0)],
    OPERATIONS: [
        # The next operation to run. Operations that have ended are not in it.
        IndexModel(BY_UNFINISHED, partialFilterExpression={"is_unfinished": True}),
        IndexModel([("expire_time", 1)], expireAfterSeconds=0),
    ],
    WORKERS: [
        IndexModel([("last_heartbeat_time", 1)], expireAfterSeconds=WORKER_SECONDS),
        # Heartbeats find the worker by its id.
        IndexModel([("worker_id", 1)]),
    ],
}

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
                await built(database[collection].create_indexes(indexes, commitQuorum=QUORUM), collection)


async def built(building: Awaitable[Any], collection: str) -> None:
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
