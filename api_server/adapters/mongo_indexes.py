"""The indexes, made at start if missing. Each costs every insert and every change: no other without a measurement."""

from typing import Any

import pymongo
from pymongo import IndexModel

from api_server.adapters.mongo_client import within

BY_DUE_TIME = [("status", 1), ("type", 1), ("due_time", 1)]
BUILD_SECONDS = 600
"""How long a build over jobs that are there already may take."""
WORKER_SECONDS = 3600
"""How long a worker that has gone silent stays known."""

INDEXES = {
    "jobs": [
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
    "keys": [IndexModel([("expire_time", 1)], expireAfterSeconds=0)],
    "workers": [IndexModel([("last_heartbeat_time", 1)], expireAfterSeconds=WORKER_SECONDS)],
}


async def create_indexes(database: Any) -> None:
    """Harmless when they are there. Raises StoreUnavailable, or OperationFailure if one is there with other options."""
    with pymongo.timeout(BUILD_SECONDS):
        async with within(BUILD_SECONDS):
            for collection, indexes in INDEXES.items():
                await database[collection].create_indexes(indexes)
