"""Which job types an API server takes: those of its setting, and those that workers have registered."""

import asyncio
from collections.abc import Sequence

import pytest

from api_server.domain.errors import StoreUnavailable
from api_server.services import job_types
from api_server.services.job_types import KnownJobTypes
from api_server.services.unknown_type import SHOWN, unknown_type
from tests.waiting import until


class Store:
    """Registered types, up to `limit`. A read waits while `gate` is cleared."""

    def __init__(self, *types: str, limit: int = 100) -> None:
        self.types = list(types)
        self.limit = limit
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.faults: list[Exception] = []

    async def names(self) -> Sequence[str]:
        self.reads += 1
        names = tuple(self.types)
        await self.gate.wait()
        if self.faults:
            raise self.faults.pop()
        return names

    async def add(self, new: Sequence[str]) -> None:
        self.types += new[: self.limit - len(self.types)]


async def test_without_a_store_only_the_named_types_are_known() -> None:
    types = KnownJobTypes(("a", "b"))
    await types.register(["c"])
    await types.look_up(["c"])
    await types.run()
    assert (list(types), len(types), types.workers_add) == (["a", "b"], 2, False)
    assert ("a" in types, "c" in types) == (True, False)


async def test_a_type_in_memory_costs_no_read() -> None:
    store = Store("c")
    types = KnownJobTypes(("a",), store)
    await types.look_up(["a"])
    assert store.reads == 0
    await types.look_up(["a", "c"])
    await types.look_up(["c"])
    assert (store.reads, list(types)) == (1, ["a", "c"])


async def test_a_type_that_another_server_has_registered_since_then_is_found() -> None:
    store = Store()
    types = KnownJobTypes(("a",), store)
    await types.look_up(["c"])
    assert "c" not in types
    store.types.append("c")
    await types.look_up(["c"])
    assert "c" in types


async def test_callers_share_a_read_that_begins_after_they_asked() -> None:
    store = Store()
    types = KnownJobTypes((), store)
    store.gate.clear()
    first = asyncio.create_task(types.look_up(["c"]))
    await until(lambda: store.reads == 1)
    store.types.append("c")
    # The read under way may have missed the type.
    others = [asyncio.create_task(types.look_up(["c"])) for _ in range(5)]
    await asyncio.sleep(0)
    store.gate.set()
    await asyncio.gather(first, *others)
    assert (store.reads, "c" in types) == (2, True)


async def test_a_worker_registers_its_types_until_there_are_too_many() -> None:
    store = Store("x", limit=3)
    types = KnownJobTypes(("a",), store)
    await types.register(["a", "b", "c", "d"])
    assert store.types == ["x", "b", "c"]
    assert set(types) == {"a", "x", "b", "c"}
    await types.register(["a", "b"])
    assert store.reads == 1


async def test_types_are_read_again_and_again_whatever_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_types, "REFRESH_SECONDS", 0.001)
    store = Store("c")
    store.faults = [StoreUnavailable(), ValueError("a fault")]
    types = KnownJobTypes((), store)
    reading = asyncio.create_task(types.run())
    await until(lambda: "c" in types)
    reading.cancel()
    await asyncio.wait([reading])


def test_an_error_names_some_types_and_says_that_workers_add_others() -> None:
    fixed = unknown_type("type", "z", KnownJobTypes(("a", "b")))
    assert fixed.violations[0].description == "must be one of a, b, is 'z'"
    opened = unknown_type("type", "z", KnownJobTypes(("a", "b"), Store()))
    assert opened.violations[0].description == (
        "must be a type that a worker has registered, or one of a, b, is 'z'"
    )
    many = unknown_type("type", "z", KnownJobTypes([f"type-{n}" for n in range(SHOWN + 1)]))
    assert many.violations[0].description.endswith(f"type-{SHOWN - 1}, …, is 'z'")
