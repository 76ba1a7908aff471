"""Jobs that are kept for a limited time, or for ever."""

import asyncio
from typing import Any
from uuid import uuid4

from api_server.adapters.mongo.stores import MongoStores, connect
from api_server.domain.transitions import retry
from local_stack.mongodb import uri
from local_stack.stack import Stack
from tests.integration.mongo.jobs import now, stored

INDEX = "end_time_1"


async def retention(mongod: Stack, database: str, seconds: int | None) -> int | None:
    """The retention in the database after a server has started with this setting."""
    async with connect(uri(mongod.settings), database, seconds) as stores:
        indexes: dict[str, Any] = await stores.jobs._jobs.index_information()
        return int(indexes[INDEX]["expireAfterSeconds"]) if INDEX in indexes else None


async def test_the_index_follows_the_setting(mongod: Stack) -> None:
    database = f"own_{uuid4().hex}"
    settings = [None, 60, 60, 2**31 - 1, 1, None, None, 5]
    assert [await retention(mongod, database, seconds) for seconds in settings] == settings


async def test_servers_that_start_together_agree(mongod: Stack) -> None:
    database = f"own_{uuid4().hex}"
    for seconds in (60, None):
        assert (
            await asyncio.gather(*(retention(mongod, database, seconds) for _ in range(5))) == [seconds] * 5
        )


async def test_the_index_contains_only_jobs_that_have_ended(mongod: Stack, empty_stores: MongoStores) -> None:
    """MongoDB deletes the jobs in this index by their end_time. That it does so is not tested here."""
    stores = empty_stores
    ended = [await stored(stores, status) for status in ("completed", "failed", "cancelled")]
    for status in ("queued", "processing", "claimed_unfenced"):
        await stored(stores, status)
    for status in ("failed", "cancelled"):
        await stores.jobs.apply([retry((await stored(stores, status)).id, "r", now())])
    async with connect(uri(mongod.settings), stores.jobs._jobs.database.name, 3600):
        cursor = stores.jobs._jobs.find({"end_time": {"$exists": True}}).hint(INDEX)
        assert {document["_id"] async for document in cursor} == {job.id for job in ended}
        [index] = [
            each for each in await stores.jobs._jobs.list_indexes().to_list(None) if each["name"] == INDEX
        ]
    assert index["partialFilterExpression"] == {"end_time": {"$exists": True}}
