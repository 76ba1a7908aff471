"""How long ended jobs are kept: MongoDB deletes them by TTL indexes on `end_time`.

A TTL index has one time. So each type with a time of its own has an index that contains only its jobs, and
one index contains the jobs of all other types. Each ended job is in one index at most. Without the setting
there is no index, and nothing is deleted. Retry removes a job from its index.

The setting is stored in the database, as these indexes: of servers with different settings, the one that
starts last decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pymongo
import structlog
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from api_server.adapters.mongo.client import Document, within
from api_server.adapters.mongo.collections import JOBS, NAMESPACE_NOT_FOUND
from api_server.adapters.mongo.indexes import BUILD_SECONDS, QUORUM, built
from api_server.domain.errors import StoreUnavailable
from api_server.domain.retention import Retention

log = structlog.get_logger()

BY_END_TIME = [("end_time", 1)]
USUAL_NAME = "end_time_1"
ENDED = {"end_time": {"$exists": True}}
UNAUTHORIZED = 13
INDEX_NOT_FOUND = 27
CONFLICTS = frozenset({85, 86})
"""IndexOptionsConflict and IndexKeySpecsConflict: another server has just created the index otherwise."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """One TTL index: the jobs that it contains, and their time."""

    contains: Document
    seconds: int


def expiries(retention: Retention) -> dict[str, Expiry]:
    """The indexes for a setting, by name. Pure."""
    wanted = {
        f"{USUAL_NAME}_{job_type}": Expiry({**ENDED, "type": job_type}, seconds)
        for job_type, seconds in retention.of_type.items()
        if seconds is not None
    }
    if retention.usual is not None:
        wanted[USUAL_NAME] = Expiry({**ENDED, **_other_types(sorted(retention.of_type))}, retention.usual)
    return wanted


def _other_types(types: list[str]) -> Document:
    """A condition that admits all types but these, sorted ones.

    MongoDB does not accept $nin in the filter of an index, so the condition names the gaps between them.
    """
    if not types:
        return {}
    bounds = zip(["", *types], [*types, None], strict=True)
    gaps = [{"$gt": low} if high is None else {"$gt": low, "$lt": high} for low, high in bounds]
    return {"$or": [{"type": gap} for gap in gaps]}


async def set_retention(database: Any, retention: Retention) -> None:
    """Let MongoDB delete jobs some time after their end. Raises StoreUnavailable."""
    jobs = database[JOBS]
    wanted = expiries(retention)
    with pymongo.timeout(BUILD_SECONDS):
        async with within(BUILD_SECONDS):
            present = await _present(jobs)
            # First, because an outdated index could delete jobs that are now kept longer.
            for name, expiry in present.items():
                if name not in wanted or wanted[name].contains != expiry.contains:
                    await _if_exists(jobs.drop_index(name))
            for name, expiry in wanted.items():
                if present.get(name) != expiry and not await _change(database, jobs, name, expiry):
                    await _create(jobs, name, expiry)


async def _present(jobs: Any) -> dict[str, Expiry]:
    """The TTL indexes on `end_time` that exist, by name."""
    information: Mapping[str, Any] = await jobs.index_information()
    return {
        name: Expiry(dict(index.get("partialFilterExpression", {})), index.get("expireAfterSeconds", 0))
        for name, index in information.items()
        if list(index["key"]) == BY_END_TIME
    }


async def _change(database: Any, jobs: Any, name: str, expiry: Expiry) -> bool:
    """Change the time of an index. False: there is no such index now, so create it."""
    index = {"name": name, "expireAfterSeconds": expiry.seconds}
    try:
        return await _if_exists(database.command("collMod", jobs.name, index=index))
    except OperationFailure as error:
        if error.code != UNAUTHORIZED:
            raise
        # The role readWrite may not change an index, but drop and create it. Meanwhile nothing is deleted.
        log.info("retention_index_is_rebuilt", index=name, reason="the MongoDB user has no right collMod")
        await _if_exists(jobs.drop_index(name))
        return False


async def _create(jobs: Any, name: str, expiry: Expiry) -> None:
    model = IndexModel(
        BY_END_TIME,
        name=name,
        expireAfterSeconds=expiry.seconds,
        partialFilterExpression=expiry.contains,
    )
    try:
        await built(jobs.create_indexes([model], commitQuorum=QUORUM), jobs.name)
    except OperationFailure as error:
        if error.code in CONFLICTS:
            # The caller tries again, and finds what the other server has created.
            raise StoreUnavailable from error
        raise


async def _if_exists(change: Any) -> bool:
    """Apply a change of an index. False: the index does not exist."""
    try:
        await change
    except OperationFailure as error:
        if error.code in (NAMESPACE_NOT_FOUND, INDEX_NOT_FOUND):
            return False
        raise
    return True
