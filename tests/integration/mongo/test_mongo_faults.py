"""mongod is killed and frozen in the middle of each kind of statement.

One load for each kind of statement runs beside the others. It sends its batches one after another, each batch
once. Everything that was acknowledged must be stored exactly once. A batch that ended as "unavailable" is
sent again at the end. Nobody else changes these jobs, so it must succeed, and must have been done exactly
once, too. No refusal is correct here.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from api_server.adapters.mongo import client as mongo_client
from api_server.adapters.mongo.document_parts import from_failure
from api_server.adapters.mongo.documents import to_document, to_job
from api_server.adapters.mongo.stores import MongoStores, connect
from api_server.domain.errors import StoreUnavailable
from api_server.domain.fleet import Worker, WorkerReport
from api_server.domain.job import Job, Progress, ProgressNote, Status
from api_server.domain.record_positions import RecordPosition
from api_server.domain.resolution import Applied, applied_status
from api_server.domain.transition import Transition
from api_server.domain.transitions import cancel, claim, complete, retry, try_again
from api_server.ports import Published
from local_stack.mongodb import uri
from local_stack.settings import StackSettings
from local_stack.stack import Stack
from service_runtime.outage import Outage
from tests.integration.mongo.jobs import FAILURE, LEASE, WORKER, get, insert, new_job, now
from tests.integration.mongo.test_mongo_fleet import identity
from tests.waiting import until

pytestmark = pytest.mark.slow

BATCHES, BATCH = 100, 20
PAUSE = 0.05
"""Seconds between two batches of a load, so that it goes on through the fault with few batches."""
DEADLINE_SECONDS = 40.0


@dataclass
class Load:
    """`send` raises AssertionError on a wrong answer. `check` checks a batch at the end."""

    batches: Sequence[Any]
    send: Callable[[Any], Awaitable[None]]
    check: Callable[[Any], Awaitable[None]]
    acknowledged: list[Any] = field(default_factory=list)
    unknown: list[Any] = field(default_factory=list)
    current: Any = None

    async def run(self, stop: asyncio.Event) -> None:
        for batch in self.batches:
            if stop.is_set():
                return
            self.current = batch
            try:
                await self.send(batch)
            except StoreUnavailable:
                self.unknown.append(batch)
            else:
                self.acknowledged.append(batch)
            await asyncio.sleep(PAUSE)
        raise AssertionError("ran out of batches: the load must go on through the fault")

    async def verify(self) -> None:
        for batch in self.acknowledged:
            await self.check(batch)
        for batch in self.unknown:
            await self.send(batch)
            await self.check(batch)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(StackSettings.with_free_ports(tmp_path_factory.mktemp("victim")))
    stack.start("mongodb")
    yield stack
    stack.down()


@pytest_asyncio.fixture
async def victim_stores(victim: Stack) -> AsyncIterator[MongoStores]:
    async with connect(uri(victim.settings), f"own_{uuid4().hex}") as opened:
        yield opened


async def eventually(condition: Callable[[], bool], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait, and fail as soon as one of the tasks does."""

    def holds() -> bool:
        for task in tasks:
            if task.done():
                task.result()
        return condition()

    await until(holds)


async def killed_and_started(
    victim: Stack, loads: Sequence[Load], tasks: Sequence[asyncio.Task[None]]
) -> None:
    for _ in range(2):
        victim.kill("mongodb")
        await asyncio.to_thread(victim.start, "mongodb")
        await further(5, loads, tasks)


async def frozen_and_thawed(
    victim: Stack, loads: Sequence[Load], tasks: Sequence[asyncio.Task[None]]
) -> None:
    victim.freeze("mongodb")
    try:
        await eventually(lambda: all(load.unknown for load in loads), tasks)
    finally:
        victim.thaw("mongodb")


async def further(count: int, loads: Sequence[Load], tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until `count` more batches of each load are acknowledged."""
    goals = [(load, len(load.acknowledged) + count) for load in loads]
    await eventually(lambda: all(len(load.acknowledged) >= goal for load, goal in goals), tasks)


@pytest.mark.parametrize("fault", [killed_and_started, frozen_and_thawed])
async def test_acknowledged_writes_are_kept_and_unknown_ones_can_be_sent_again(
    victim: Stack,
    victim_stores: MongoStores,
    fault: Callable[..., Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mongo_client, "outage", Outage("mongodb"))
    stores = victim_stores
    inserts = insert_load(stores)
    loads = [inserts, *await transition_loads(stores), *await other_loads(stores)]
    stop = asyncio.Event()
    seen: set[UUID] = set()
    with capture_logs() as logs:
        tasks = [asyncio.create_task(load.run(stop)) for load in loads]
        tasks.append(asyncio.create_task(watch(stores, inserts, seen, stop)))
        await further(5, loads, tasks)
        await fault(victim, loads, tasks)
        await further(5, loads, tasks)
        stop.set()
        await asyncio.gather(*tasks)
    assert any(entry["event"] == "mongo_sent_again" for entry in logs), "the fault met no write under way"
    warnings = [entry for entry in logs if entry["log_level"] != "debug"]
    assert any(entry["event"] == "outage_began" and entry["what"] == "mongodb" for entry in warnings)
    assert len(warnings) < 20, "each call that met the fault is logged"
    for load in loads:
        await load.verify()
    for job_id in seen:
        assert await get(stores, job_id) is not None


async def transition_loads(stores: MongoStores) -> list[Load]:
    return [
        await transition_load(
            stores, Status.QUEUED, BATCH, lambda job_id, at: claim(job_id, WORKER, 0, at, LEASE)
        ),
        await transition_load(
            stores, Status.QUEUED, 1, lambda job_id, at: claim(job_id, WORKER, 0, at, LEASE)
        ),
        # Each job its own worker: too many groups, so these go one by one in one bulk_write.
        await transition_load(stores, Status.QUEUED, BATCH, lambda i, at: claim(i, f"w/{i}", 0, at, LEASE)),
        await transition_load(
            stores, Status.PROCESSING, BATCH, lambda i, at: complete(i, WORKER, 1, {"id": str(i)}, at)
        ),
        await transition_load(
            stores,
            Status.PROCESSING,
            BATCH,
            lambda i, at: try_again(i, WORKER, 1, FAILURE, at, failures=0, wait=LEASE),
        ),
        await transition_load(stores, Status.PROCESSING, 1, lambda i, at: cancel(i, f"cancel {i}", "", at)),
        await transition_load(stores, Status.FAILED, 1, lambda i, at: retry(i, f"retry {i}", at)),
    ]


async def other_loads(stores: MongoStores) -> list[Load]:
    return [
        await progress_load(stores),
        key_load(stores),
        await mark_load(stores),
        await expiry_load(stores),
        await name_load(stores),
        fleet_load(stores),
    ]


async def watch(stores: MongoStores, inserts: Load, seen: set[UUID], stop: asyncio.Event) -> None:
    """Read each job while it is being stored."""
    while not stop.is_set():
        try:
            job = await get(stores, inserts.current.id) if inserts.current else None
        except StoreUnavailable:
            continue
        if job is not None:
            seen.add(job.id)
        await asyncio.sleep(0)


def insert_load(stores: MongoStores) -> Load:
    async def send(job: Job) -> None:
        assert await insert(stores, job, now()) == job

    async def check(job: Job) -> None:
        assert await get(stores, job.id) == job

    return Load([new_job() for _ in range(20 * BATCHES)], send, check)


async def transition_load(
    stores: MongoStores, status: Status, size: int, transition_of: Callable[[UUID, Any], Transition]
) -> Load:
    at = now()

    async def send(ids: Sequence[UUID]) -> None:
        transitions = [transition_of(job_id, at) for job_id in ids]
        expected = [Applied(each.change.status, each.attempt_after) for each in transitions]
        assert await stores.jobs.apply(transitions) == expected

    async def check(ids: Sequence[UUID]) -> None:
        found = await stores.jobs._jobs.find({"_id": {"$in": list(ids)}}).to_list(None)
        jobs = [to_job(document) for document in found]
        assert len(jobs) == len(ids)
        for job in jobs:
            transition = transition_of(job.id, at)
            change = transition.change
            assert applied_status(transition, job)
            assert (job.revision, job.failures) == (2, int(change.adds_failure))
            # A job that was queued again has its attempt in the history once.
            assert len(job.past) == int(change.status is Status.QUEUED)

    return Load(await stock(stores, status, size), send, check)


async def progress_load(stores: MongoStores) -> Load:
    at = now()

    async def send(ids: Sequence[UUID]) -> None:
        notes = [ProgressNote(job_id, 1, 50.0, str(job_id)) for job_id in ids]
        await stores.jobs.note_progress(WORKER, notes, at)

    async def check(ids: Sequence[UUID]) -> None:
        found = await stores.jobs._jobs.find({"_id": {"$in": list(ids)}}).to_list(None)
        jobs = [to_job(document) for document in found]
        assert [job.progress for job in jobs] == [Progress(50.0, str(job.id)) for job in jobs]
        assert {job.revision for job in jobs} == {2}

    return Load(await stock(stores, Status.PROCESSING, BATCH), send, check)


def key_load(stores: MongoStores) -> Load:
    at = now()
    expire_time = at + timedelta(days=1)

    async def send(batch: tuple[str, UUID]) -> None:
        key, job_id = batch
        assert await stores.keys.remember(key, job_id, b"mine", at, expire_time) == (job_id, b"mine")

    async def check(batch: tuple[str, UUID]) -> None:
        key, job_id = batch
        assert await stores.keys.remember(key, uuid4(), b"other", at, expire_time) == (job_id, b"mine")

    return Load([(str(uuid4()), uuid4()) for _ in range(20 * BATCHES)], send, check)


async def mark_load(stores: MongoStores) -> Load:
    at = now()

    async def send(ids: Sequence[UUID]) -> None:
        places = [Published(job_id, 0, RecordPosition(1, offset, 0)) for offset, job_id in enumerate(ids)]
        await stores.due.mark_published(places, at)

    async def check(ids: Sequence[UUID]) -> None:
        found = await stores.jobs._jobs.find({"_id": {"$in": list(ids)}}).to_list(None)
        assert [document["dispatches"] for document in found] == [1] * len(ids)
        offsets = {document["_id"]: document["record"]["offset"] for document in found}
        assert [offsets[job_id] for job_id in ids] == list(range(len(ids)))

    return Load(await stock(stores, Status.QUEUED, BATCH), send, check)


async def expiry_load(stores: MongoStores) -> Load:
    """Jobs whose leases have ended long ago. A call does not say which of them it changed."""
    at = now() - timedelta(hours=1)
    batches = await stock(stores, Status.PROCESSING, BATCH, due_time=at - LEASE)
    ids = [job_id for batch in batches for job_id in batch]

    async def send(_: Sequence[UUID]) -> None:
        await stores.due.expire_leases(at, BATCH)

    async def check(_: Sequence[UUID]) -> None:
        wrong = {
            "_id": {"$in": ids},
            "$nor": [
                {"status": "processing", "revision": 1},
                {"status": "queued", "revision": 2, "losses": 1, "history": {"$size": 1}},
            ],
        }
        assert await stores.jobs._jobs.count_documents(wrong) == 0

    return Load(batches, send, check)


async def name_load(stores: MongoStores) -> Load:
    """A newcomer takes each name over."""
    at = now()
    names = [str(uuid4()) for _ in range(10 * BATCHES)]
    # Few at a time: on a busy machine the last one must not wait for longer than a write may take.
    for start in range(0, len(names), BATCH):
        some = names[start : start + BATCH]
        await asyncio.gather(
            *(stores.workers.take_name(identity(name, 1), lambda _: False, at) for name in some)
        )

    async def send(name: str) -> None:
        def may_replace(holder: Worker) -> bool:
            return holder.identity.worker_id == f"{name}/1"

        holder = await stores.workers.take_name(identity(name, 2), may_replace, at)
        assert (holder.identity, holder.predecessor) == (identity(name, 2), f"{name}/1")

    async def check(name: str) -> None:
        assert not await stores.workers.heartbeat(f"{name}/1", WorkerReport(), at)
        assert await stores.workers.heartbeat(f"{name}/2", WorkerReport(), at)

    return Load(names, send, check)


def fleet_load(stores: MongoStores) -> Load:
    """Stop and start the fleet in turn.

    The revision would show a change that counted twice, or not at all.
    """

    async def send(consuming: bool) -> None:
        assert (
            await stores.fleet.change(lambda desired: desired.with_consuming(consuming, None))
        ).consuming is consuming

    async def check(_: bool) -> None:
        fleet = await stores.fleet.fleet()
        assert fleet.consuming is (fleet.revision % 2 == 0)

    return Load([number % 2 == 1 for number in range(20 * BATCHES)], send, check)


async def stock(stores: MongoStores, status: Status, size: int, due_time: Any = None) -> list[list[UUID]]:
    """The ids of stored jobs in `status`, in batches."""
    at = now()
    held = {"status": status.value, "worker_id": WORKER, "attempt": 1, "start_time": at}
    ended = {"end_time": at, "error": from_failure(FAILURE)}
    fields: dict[Status, dict[str, Any]] = {
        Status.QUEUED: {},
        Status.PROCESSING: held,
        Status.FAILED: held | ended,
    }
    documents = [
        {**to_document(new_job(), due_time or at + LEASE), **fields[status]} for _ in range(BATCHES * size)
    ]
    await stores.jobs._jobs.insert_many(documents)
    ids = [document["_id"].as_uuid() for document in documents]
    return [ids[i : i + size] for i in range(0, len(ids), size)]
