"""The schemas of handlers in a real database, and which live workers have them."""

import asyncio
from datetime import timedelta

import pytest

from api_server.adapters.mongo import handler_schemas
from api_server.adapters.mongo.handler_schemas import KEPT
from api_server.adapters.mongo.stores import MongoStores
from api_server.adapters.mongo.workers import HANDLERS
from api_server.domain.fleet import Worker, WorkerIdentity, WorkerReport
from api_server.domain.handler_schema import HandlerSchema

HOUR = timedelta(hours=1)


def schema(number: int, job_type: str = "a") -> HandlerSchema:
    return HandlerSchema(job_type, f'{{"$id":"x.{number}"}}', "")


def always(_: Worker) -> bool:
    return True


async def take(
    stores: MongoStores, name: str, *schemas: HandlerSchema, types: tuple[str, ...] = ("a",)
) -> None:
    ids = {each.type: each.id for each in schemas}
    identity = WorkerIdentity(f"{name}/1", name, "host", 1, types, ids)
    taken = await stores.workers.take_name(identity, always, stores.clock.now())
    assert taken.identity == identity
    assert identity in [each.identity for each in await stores.workers.workers()]


async def test_a_schema_is_stored_once_however_many_register_it(empty_stores: MongoStores) -> None:
    store = empty_stores.schemas
    await store.add([])
    await asyncio.gather(*(store.add([schema(1), schema(2)]) for _ in range(8)))
    await store.add([schema(2), schema(3)])
    found = {each.payload_text: each for each in await store.read([schema(n).id for n in range(9)])}
    assert found.keys() == {schema(n).payload_text for n in (1, 2, 3)}
    assert {each.id for each in found.values()} == {schema(n).id for n in (1, 2, 3)}
    first, third = found[schema(1).payload_text], found[schema(3).payload_text]
    assert first.registered_at <= third.registered_at <= empty_stores.clock.now()


async def test_the_schemas_of_live_workers_are_known_by_type(empty_stores: MongoStores) -> None:
    now = empty_stores.clock.now()
    await take(empty_stores, "one", schema(1), schema(7, "b"), types=("a", "b"))
    await take(empty_stores, "two", schema(2), types=("a", "b"))
    await take(empty_stores, "three", schema(9))
    await empty_stores.workers.heartbeat("three/1", WorkerReport("draining"), now)
    live = await empty_stores.workers.live_handlers(now - HOUR)
    assert live == {"a": {schema(1).id, schema(2).id}, "b": {schema(7, "b").id, ""}}
    assert await empty_stores.workers.live_handlers(now + HOUR) == {}


async def test_a_worker_of_an_earlier_version_has_types_without_schemas(empty_stores: MongoStores) -> None:
    await take(empty_stores, "old", types=("a", "c"))
    await empty_stores.workers._workers.update_one({"_id": "old"}, {"$unset": {HANDLERS: ""}})
    await take(empty_stores, "new", schema(1))
    live = await empty_stores.workers.live_handlers(empty_stores.clock.now() - HOUR)
    assert live == {"a": {schema(1).id, ""}, "c": {""}}
    assert [each.identity.schema_ids for each in await empty_stores.workers.workers()] == [
        {"a": schema(1).id},
        {},
    ]


async def test_schemas_that_no_worker_names_are_forgotten_some_hours_later(empty_stores: MongoStores) -> None:
    store = empty_stores.schemas
    named, unnamed, recent = schema(1), schema(2), schema(3)
    await store.add([named, unnamed, recent])
    await take(empty_stores, "one", named)
    long_ago = {"$set": {"use_time": empty_stores.clock.now() - KEPT - HOUR}}
    await store._schemas.update_many({"_id": {"$in": [named.id, unnamed.id]}}, long_ago)

    await store.add([recent])
    assert len(await store.read([named.id, unnamed.id, recent.id])) == 3
    await store.add([schema(4)])
    kept = {each.id for each in await store.read([named.id, unnamed.id, recent.id])}
    assert kept == {named.id, recent.id}


async def test_the_number_of_schemas_is_bounded(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_schemas, "MAX_SCHEMAS", 3)
    store = empty_stores.schemas
    await store.add([schema(1), schema(2)])
    await store.add([schema(2), schema(3), schema(4)])
    await store.add([schema(5)])
    stored = {each.id for each in await store.read([schema(n).id for n in range(9)])}
    assert stored == {schema(n).id for n in (1, 2, 3)}
