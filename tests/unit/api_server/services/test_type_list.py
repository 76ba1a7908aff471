"""The log names types whose jobs wait without a live worker."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from api_server.adapters.json_schema import compile_schema
from api_server.domain.errors import StoreUnavailable
from api_server.domain.fleet import Fleet, Worker
from api_server.domain.job import Status
from api_server.domain.job_type import MAX_COUNTED, Waiting
from api_server.services import type_list
from api_server.services.job_types import KnownJobTypes
from api_server.services.payload_schemas import PayloadSchemas
from api_server.services.type_list import TypeList
from tests.waiting import until


class Store:
    """Queued jobs by type, and a fleet without workers."""

    def __init__(self, **waiting: int) -> None:
        self.waiting = waiting
        self.looks = 0
        self.faults: list[Exception] = []

    async def fleet(self) -> tuple[Fleet, list[Worker]]:
        return Fleet(), []

    async def types(self, _status: Status, limit: int) -> Sequence[str]:
        self.looks += 1
        if self.faults:
            raise self.faults.pop()
        return sorted(self.waiting)[:limit]

    async def count(self, _status: Status, job_type: str, limit: int) -> int:
        return min(self.waiting[job_type], limit)


def types_of(store: Any) -> TypeList:
    return TypeList(KnownJobTypes(("a",)), store, store, PayloadSchemas(store, compile_schema))


async def test_queued_jobs_are_counted_up_to_a_limit() -> None:
    states = await types_of(Store(b=7, c=MAX_COUNTED, d=MAX_COUNTED + 5)).states()
    assert {state.type: state.waiting for state in states} == {
        "a": Waiting(),
        "b": Waiting(7),
        "c": Waiting(MAX_COUNTED),
        "d": Waiting(MAX_COUNTED, is_capped=True),
    }


async def test_the_leader_logs_types_whose_jobs_wait_without_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(type_list, "LOOK_EVERY", 0.001)
    store, leads, questions = Store(b=7), False, 0

    def is_leader() -> bool:
        nonlocal questions
        questions += 1
        return leads

    store.faults = [StoreUnavailable(), ValueError("a fault")]
    with capture_logs() as lines:
        watching = asyncio.create_task(types_of(store).watch(is_leader))
        await until(lambda: questions >= 3)
        assert store.looks == 0
        leads = True
        await until(lambda: any(line["event"] == "no_worker_for_type" for line in lines))
        watching.cancel()
        await asyncio.wait([watching])
    warned = [line for line in lines if line["event"] == "no_worker_for_type"]
    assert (warned[0]["type"], warned[0]["waiting"], warned[0]["log_level"]) == ("b", 7, "warning")
    assert not store.faults
