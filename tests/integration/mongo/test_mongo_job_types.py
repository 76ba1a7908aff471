"""The registered job types in a real database."""

import asyncio

import pytest

from api_server.adapters.mongo import job_types
from api_server.adapters.mongo.stores import MongoStores
from api_server.services.job_types import KnownJobTypes


async def test_types_are_stored_once_and_known_to_other_servers(empty_stores: MongoStores) -> None:
    store = empty_stores.job_types
    assert await store.names() == ()
    one, other = KnownJobTypes(("compute",), store), KnownJobTypes(("compute",), store)
    await asyncio.gather(one.register(["compute", "a"]), other.register(["a", "b"]))
    assert sorted(await store.names()) == ["a", "b"]
    await one.look_up(["b"])
    assert sorted(one) == ["a", "b", "compute"]
    restarted = KnownJobTypes(("compute",), store)
    await restarted.look_up(["a"])
    assert "a" in restarted


async def test_the_number_of_types_is_bounded(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_types, "MAX_REGISTERED", 3)
    store = empty_stores.job_types
    await store.add(["a", "b"])
    await store.add(["a", "c", "d"])
    assert list(await store.names()) == ["a", "b", "c"]
    await store.add(["e"])
    assert list(await store.names()) == ["a", "b", "c"]
