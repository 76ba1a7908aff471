"""The names of the collections: a start renames those that have a former name."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from bson.binary import Binary
from pymongo import IndexModel
from structlog.testing import capture_logs

from api_server.adapters.mongo import collections as mongo_collections
from api_server.adapters.mongo.client import CODEC, open_client
from api_server.adapters.mongo.collections import FORMER_NAMES, rename_collections
from api_server.adapters.mongo.indexes import INDEXES
from api_server.adapters.mongo.stores import connect
from api_server.domain.fleet import Worker, WorkerIdentity, WorkerReport
from local_stack.mongodb import uri
from local_stack.stack import Stack
from tests.integration.mongo.jobs import now

DAY = timedelta(days=1)
HASH = b"\0hash"
IDENTITY = WorkerIdentity("worker-1/a", "worker-1", "host", 1, ("compute",))


@pytest_asyncio.fixture
async def database(mongod: Stack) -> AsyncIterator[Any]:
    """A database of one test's own, without collections."""
    async with open_client(uri(mongod.settings)) as client:
        own = client.get_database(f"own_{uuid4().hex}", codec_options=CODEC)
        yield own
        await client.drop_database(own.name)


class FormerServer:
    """Stores as a server of the version before does."""

    def __init__(self, database: Any) -> None:
        self._database = database

    async def start(self) -> None:
        for former, name in FORMER_NAMES.items():
            if name in INDEXES:
                indexes: list[IndexModel] = INDEXES[name]
                await self._database[former].create_indexes(indexes)

    async def remember(self, key: str, job_id: UUID) -> None:
        document = {"_id": key, "job_id": job_id, "request_hash": Binary(HASH), "expire_time": now() + DAY}
        await self._database["keys"].insert_one(document)

    async def register(self, identity: WorkerIdentity) -> None:
        report = {
            "state": "consuming",
            "assignments": [],
            "in_flight": 2,
            "completed_total": 3,
            "failed_total": 4,
            "fleet_revision": 5,
        }
        document = {
            "_id": identity.name,
            "worker_id": identity.worker_id,
            "host": identity.host,
            "pid": identity.pid,
            "types": list(identity.types),
            "report": report,
            "last_heartbeat_time": now(),
            "predecessor": "",
        }
        await self._database["worker_names"].insert_one(document)

    async def lead(self, holder: str) -> None:
        lease = {"holder": holder, "expire_time": now() + timedelta(seconds=5)}
        await self._database["leases"].update_one({"_id": "due"}, {"$set": lease}, upsert=True)


async def remembered(mongod: Stack, database: Any, key: str) -> UUID:
    """The job of an idempotency key, as a server of this version answers."""
    async with connect(uri(mongod.settings), database.name) as stores:
        job_id, _ = await stores.keys.remember(key, uuid4(), HASH, now(), now() + DAY)
        return job_id


async def known_workers(mongod: Stack, database: Any) -> list[Worker]:
    async with connect(uri(mongod.settings), database.name) as stores:
        return await stores.workers.workers()


async def former_names(database: Any) -> set[str]:
    """Those of the former names under which there is a collection."""
    return set(await database.list_collection_names()) & set(FORMER_NAMES)


async def test_a_start_renames_what_is_there_with_documents_and_indexes(mongod: Stack, database: Any) -> None:
    former, job_id = FormerServer(database), uuid4()
    await former.start()
    await former.remember("key", job_id)
    await former.register(IDENTITY)
    await former.lead("former/1")
    documents = {name: await database[name].find().to_list(None) for name in FORMER_NAMES}
    indexes = {name: await database[name].index_information() for name in FORMER_NAMES}

    await rename_collections(database)

    assert await former_names(database) == set()
    for name, present in FORMER_NAMES.items():
        assert await database[present].find().to_list(None) == documents[name]
        assert await database[present].index_information() == indexes[name]
    assert set(indexes["keys"]) == {"_id_", "expire_time_1"}
    assert set(indexes["worker_names"]) == {"_id_", "last_heartbeat_time_1", "worker_id_1"}

    assert await remembered(mongod, database, "key") == job_id
    [worker] = await known_workers(mongod, database)
    assert (worker.identity, worker.report) == (IDENTITY, WorkerReport("consuming", {}, 2, 3, 4, 5))
    async with connect(uri(mongod.settings), database.name) as stores:
        assert not await stores.due_lease.acquire("present/1", 5)
        assert await stores.due_lease.acquire("former/1", 5)


async def test_a_new_database_has_no_former_name(mongod: Stack, database: Any) -> None:
    assert await remembered(mongod, database, "key")
    assert await former_names(database) == set()


async def test_servers_that_start_together_rename_once(mongod: Stack, database: Any) -> None:
    former, job_id = FormerServer(database), uuid4()
    await former.start()
    await former.remember("key", job_id)
    with capture_logs() as logs:
        answers = await asyncio.gather(*(remembered(mongod, database, "key") for _ in range(5)))
    assert answers == [job_id] * 5
    assert await former_names(database) == set()
    renamed = [entry["former"] for entry in logs if entry["event"] == "collection_renamed"]
    assert sorted(renamed) == ["keys", "worker_names"]


async def test_a_start_moves_what_a_former_server_has_stored_since(
    mongod: Stack, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_collections, "MOVED_TOGETHER", 2)
    former, first = FormerServer(database), uuid4()
    await former.remember("both", first)
    assert await remembered(mongod, database, "both") == first
    later = [uuid4() for _ in range(5)]
    for index, job_id in enumerate(later):
        await former.remember(f"key-{index}", job_id)
    # The former server did not know this key any more.
    await former.remember("both", uuid4())
    await former.register(IDENTITY)

    starts = [rename_collections(database) for _ in range(3)]
    await asyncio.gather(*starts)

    assert [await remembered(mongod, database, f"key-{index}") for index in range(5)] == later
    assert await remembered(mongod, database, "both") == first
    assert [worker.identity for worker in await known_workers(mongod, database)] == [IDENTITY]
    assert [await database[name].count_documents({}) for name in FORMER_NAMES] == [0, 0, 0]


async def test_a_former_server_that_starts_again_is_no_obstacle(mongod: Stack, database: Any) -> None:
    former, job_id = FormerServer(database), uuid4()
    await remembered(mongod, database, "other")
    await former.start()
    await former.remember("key", job_id)
    assert await remembered(mongod, database, "key") == job_id
