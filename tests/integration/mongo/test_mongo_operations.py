"""Operations on many jobs, on a real mongod."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from api_server.adapters.mongo import stretches, unfinished
from api_server.adapters.mongo.operations import KEPT
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import OperationNotFound, TooManyOperations, TooManyWatches
from api_server.domain.job import Status
from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.operation import (
    CHANGEABLE,
    MAX_REFUSALS,
    UNFINISHED,
    Batch,
    Kind,
    Operation,
    Refusal,
    State,
)
from api_server.domain.transitions import complete
from api_server.operations import job_walk
from api_server.operations.operation_loop import OperationLoop
from api_server.services import operations as service_module
from api_server.services.operations import OperationService
from job_client._gen.jobs.v1 import job_service_pb2
from tests.integration.mongo.jobs import RESULT, WORKER, document, insert, new_job, now, read, stored, uuid7
from tests.integration.mongo.services import Offered
from tests.integration.mongo.waiting_server import WaitingServer
from tests.waiting import until

EVERY_CONDITION = JobFilter(
    frozenset({Status.QUEUED, Status.FAILED}),
    frozenset({"compute", "data"}),
    {"a": "b=c", "d": ""},
    frozenset({"e"}),
    frozenset({"TIMEOUT"}),
    frozenset({"w/1"}),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
    now(),
)


def service_of(stores: MongoStores, wake: Callable[[], None] = lambda: None) -> OperationService:
    return OperationService(stores.operations, stores.jobs, stores.clock, wake)


def loop_of(stores: MongoStores) -> OperationLoop:
    return OperationLoop(
        stores.operations, stores.jobs, stores.unfinished, Offered(), stores.clock, lambda: True
    )


async def finished(stores: MongoStores, operation: Operation) -> Operation:
    """The operation, once a loop has run it."""
    loop = loop_of(stores)

    async def ended() -> Operation | None:
        await loop.step()
        present = await service_of(stores).get(operation.id)
        return None if present.state in UNFINISHED else present

    found: Operation = await until(ended)
    return found


def labelled(run: str, **fields: Any) -> JobFilter:
    return JobFilter(labels={"run": run}, **fields)


async def jobs_of(stores: MongoStores, run: str, *statuses: str) -> list[UUID]:
    return [(await stored(stores, status, labels={"run": run})).id for status in statuses]


async def statuses_of(stores: MongoStores, job_ids: Sequence[UUID]) -> list[Status]:
    return [(await read(stores, job_id)).status for job_id in job_ids]


async def test_an_operation_reads_back_as_it_was_stored(empty_stores: MongoStores) -> None:
    service = service_of(empty_stores)
    for wanted in (EVERY_CONDITION, JobFilter(), JobFilter(label_keys=frozenset({"a"}))):
        operation = await service.begin(Kind.BULK_CANCEL, wanted, "no need")
        assert await service.get(operation.id) == operation
        assert operation.wanted == wanted


async def test_a_bulk_cancel_cancels_the_jobs_of_its_filter_in_batches(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_walk, "BATCH", 2)
    stores, run = empty_stores, uuid4().hex
    waiting = await jobs_of(stores, run, "queued", "processing", "queued", "claimed_unfenced", "queued")
    ended = await jobs_of(stores, run, "completed", "failed")
    others = await jobs_of(stores, "other", "queued")
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, labelled(run), "no need")
    assert (operation.state, operation.matched) == (State.WAITING, JobCount(5, is_capped=False))
    later = await jobs_of(stores, run, "queued")

    operation = await finished(stores, operation)
    assert (operation.state, operation.changed, operation.refused) == (State.FINISHED, 5, 0)
    assert operation.end_time is not None
    assert await statuses_of(stores, waiting) == [Status.CANCELLED] * 5
    error = (await read(stores, waiting[0])).error
    assert error is not None
    assert (error.message, error.reason) == ("no need", "CANCELLED")
    assert await statuses_of(stores, ended + others + later) == [
        Status.COMPLETED,
        Status.FAILED,
        Status.QUEUED,
        Status.QUEUED,
    ]


async def test_a_bulk_retry_queues_failed_and_cancelled_jobs_and_lists_what_it_could_not(
    empty_stores: MongoStores,
) -> None:
    stores, run = empty_stores, uuid4().hex
    ended = await jobs_of(stores, run, "failed", "cancelled")
    past = now() - timedelta(hours=1)
    expired = (await stored(stores, "failed", labels={"run": run})).id
    await stores.jobs._jobs.update_one({"_id": expired}, {"$set": {"expire_time": past}})
    operation = await service_of(stores).begin(Kind.BULK_RETRY, labelled(run))
    operation = await finished(stores, operation)
    assert (operation.changed, operation.refused) == (2, 1)
    assert await statuses_of(stores, ended) == [Status.QUEUED] * 2
    assert [(each.job_id, each.reason) for each in operation.refusals] == [(expired, "EXPIRED")]


async def test_a_batch_that_was_changed_but_not_counted_is_counted_by_the_next_server(
    empty_stores: MongoStores,
) -> None:
    stores, run = empty_stores, uuid4().hex
    [first, second, third] = await jobs_of(stores, run, "queued", "processing", "queued")
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, labelled(run))
    assert await stores.operations.begin_batch(operation, Batch((first, second, third), None), now())
    # The server cancels the first job and dies. The second one ends before another server goes on.
    await stores.jobs.apply([operation.transition(first, now())])
    revision = (await read(stores, first)).revision
    await stores.jobs.apply([complete(second, WORKER, 1, RESULT, now())])

    operation = await finished(stores, operation)
    assert (operation.changed, operation.refused) == (2, 1)
    assert [(each.job_id, each.reason) for each in operation.refusals] == [(second, "JOB_TERMINAL")]
    assert (await read(stores, first)).revision == revision


async def test_two_servers_that_lead_at_once_count_each_job_once(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_walk, "BATCH", 3)
    stores, run = empty_stores, uuid4().hex
    job_ids = await jobs_of(stores, run, *["queued"] * 20)
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, labelled(run))
    first, second = await asyncio.gather(finished(stores, operation), finished(stores, operation))
    assert (first.changed, first.refused, first) == (20, 0, second)
    assert await statuses_of(stores, job_ids) == [Status.CANCELLED] * 20


async def test_an_operation_that_is_cancelled_ends_and_still_counts_its_batch(
    empty_stores: MongoStores,
) -> None:
    stores, run = empty_stores, uuid4().hex
    [job_id] = await jobs_of(stores, run, "queued")
    service = service_of(stores)
    operation = await service.begin(Kind.BULK_CANCEL, labelled(run))
    batch = Batch((job_id,), job_id)
    assert await stores.operations.begin_batch(operation, batch, now())
    for _ in range(2):
        cancelled = await service.cancel(operation.id)
        assert cancelled.state is State.CANCELLED
    await stores.operations.end_batch(operation, batch, [], now())
    assert (await service.get(operation.id)).changed == 1
    assert await stores.operations.next_unfinished() is None
    assert not await stores.operations.begin_batch(replace(operation, after=job_id), batch, now())


async def test_a_batch_is_counted_once_and_the_list_of_refusals_is_bounded(
    empty_stores: MongoStores,
) -> None:
    stores = empty_stores
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, JobFilter())
    ids = tuple(UUID(int=number) for number in range(MAX_REFUSALS + 1))
    refusals = [Refusal(job_id, "JOB_NOT_FOUND", "there is no job") for job_id in ids]
    batch = Batch(ids, ids[-1])
    assert await stores.operations.begin_batch(operation, batch, now())
    assert not await stores.operations.begin_batch(operation, batch, now())
    for _ in range(2):
        await stores.operations.end_batch(operation, batch, refusals, now())
    found = await service_of(stores).get(operation.id)
    assert (found.refused, found.refusals) == (MAX_REFUSALS + 1, tuple(refusals[:MAX_REFUSALS]))
    assert (found.after, found.batch, found.has_tried_all) == (ids[-1], None, False)


async def test_operations_run_in_the_order_of_the_calls(empty_stores: MongoStores) -> None:
    service = service_of(empty_stores)
    operations = [await service.begin(Kind.BULK_CANCEL, labelled(f"{number}")) for number in range(3)]
    for operation in operations:
        next_one = await empty_stores.operations.next_unfinished()
        assert next_one is not None
        assert next_one.id == operation.id
        await finished(empty_stores, operation)
    assert await empty_stores.operations.next_unfinished() is None


async def test_a_dry_run_counts_and_changes_nothing(empty_stores: MongoStores) -> None:
    run = uuid4().hex
    await jobs_of(empty_stores, run, "queued", "failed", "cancelled", "completed")
    service = service_of(empty_stores)
    assert await service.preview(Kind.BULK_CANCEL, labelled(run)) == JobCount(1, is_capped=False)
    assert await service.preview(Kind.BULK_RETRY, labelled(run)) == JobCount(2, is_capped=False)
    completed = labelled(run, statuses=frozenset({Status.COMPLETED}))
    assert await service.preview(Kind.BULK_CANCEL, completed) == JobCount(0, is_capped=False)
    assert (await service.page(None, 10)).operations == []


async def test_the_number_of_operations_that_have_not_ended_is_bounded(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "MAX_UNFINISHED", 2)
    service = service_of(empty_stores)
    first, _ = [await service.begin(Kind.BULK_CANCEL, labelled("x")) for _ in range(2)]
    with pytest.raises(TooManyOperations):
        await service.begin(Kind.BULK_CANCEL, labelled("x"))
    await service.cancel(first.id)
    await service.begin(Kind.BULK_CANCEL, labelled("x"))


async def test_pages_of_operations_are_newest_first(empty_stores: MongoStores) -> None:
    service = service_of(empty_stores)
    ids = [(await service.begin(Kind.BULK_RETRY, labelled("x"))).id for _ in range(5)]
    found: list[UUID] = []
    after: UUID | None = None
    while True:
        page = await service.page(after, 2)
        found += [operation.id for operation in page.operations]
        after = page.next_after
        if after is None:
            break
    assert found == sorted(ids, reverse=True)
    assert (await service.page(None, 5)).next_after is None


async def test_an_operation_that_does_not_exist_is_not_found(stores: MongoStores) -> None:
    for call in (service_of(stores).get, service_of(stores).cancel):
        with pytest.raises(OperationNotFound):
            await call(uuid4())


async def test_mongodb_deletes_an_operation_some_days_after_its_end(empty_stores: MongoStores) -> None:
    service = service_of(empty_stores)
    operation = await service.begin(Kind.BULK_CANCEL, labelled("x"))
    collection = empty_stores.operations._operations
    assert "expire_time" not in await collection.find_one({"_id": operation.id})
    ended = await service.cancel(operation.id)
    document = await collection.find_one({"_id": operation.id})
    assert ended.end_time is not None
    assert document["expire_time"] == ended.end_time + KEPT
    indexes = await collection.index_information()
    assert indexes["expire_time_1"]["expireAfterSeconds"] == 0


async def test_several_operations_are_read_together_without_their_batches(stores: MongoStores) -> None:
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, labelled(uuid4().hex))
    assert await stores.operations.begin_batch(operation, Batch((uuid4(),), None), now())
    missing = uuid4()
    found = await stores.operations.get_all([operation.id, missing, operation.id])
    present = await stores.operations.get(operation.id)
    assert present is not None
    assert present.batch is not None
    assert found == [replace(present, batch=None), None, replace(present, batch=None)]
    await stores.operations.end(operation.id, State.CANCELLED, now())


async def test_a_watch_tells_each_progress_that_another_server_makes(
    stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_walk, "BATCH", 1)
    run = uuid4().hex
    jobs = [await stored(stores, labels={"run": run}) for _ in range(2)]
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, labelled(run))
    server = WaitingServer(stores)
    async with server.watching_operation(operation.id) as reader:
        first = (await reader.next()).operation
        assert (first.id, first.changed) == (str(operation.id), 0)
        await finished(stores, operation)
        told = []
        while (response := await reader.next()).HasField("operation"):
            told.append((response.operation.state, response.operation.changed))
        assert told == sorted(set(told))
        assert told[-1] == (job_service_pb2.Operation.State.finished, len(jobs))
        assert response.ended.reason == "OPERATION_ENDED"
    async with WaitingServer(stores).watching_operation(operation.id) as reader:
        assert (await reader.next()).operation.changed == len(jobs)
        assert (await reader.next()).ended.reason == "OPERATION_ENDED"


async def test_a_watch_of_an_operation_that_does_not_exist_is_an_error(stores: MongoStores) -> None:
    async with WaitingServer(stores).watching_operation(uuid4()) as reader:
        with pytest.raises(OperationNotFound):
            await reader.next()


async def test_watches_of_operations_have_their_places_among_all_watches(stores: MongoStores) -> None:
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, labelled(uuid4().hex))
    server = WaitingServer(stores, limit=1)
    async with server.watching_operation(operation.id) as reader:
        await reader.next()
        async with server.watching(id=str(uuid4())) as second:
            with pytest.raises(TooManyWatches):
                await second.next()
        server.hints.close()
        assert (await reader.next()).ended.reason == "SERVER_STOPPING"
    await stores.operations.end(operation.id, State.CANCELLED, now())


async def test_a_bulk_cancel_finds_its_jobs_without_a_walk_through_those_that_have_ended(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "EXAMINED", 10)
    stores, time = empty_stores, now()
    old = [await insert(stores, new_job(), time) for _ in range(3)]
    template = await document(stores, old[0].id)
    many = [{**template, "_id": uuid7(time), "status": "completed"} for _ in range(2000)]
    for each in many:
        del each["due_time"]
    await stores.jobs._jobs.insert_many(many)
    waiting = [(await stored(stores, status)).id for status in ("queued", "processing")]
    operation = await service_of(stores).begin(Kind.BULK_CANCEL, JobFilter(types=frozenset({"compute"})))
    pages = 0
    read_page = stores.jobs.page

    async def counted(*arguments: Any) -> Any:
        nonlocal pages
        pages += 1
        return await read_page(*arguments)

    monkeypatch.setattr(stores.jobs, "page", counted)
    operation = await finished(stores, operation)

    assert operation.changed == len(old) + len(waiting)
    assert pages <= 5
    assert await statuses_of(stores, waiting) == [Status.CANCELLED] * 2


@pytest.mark.parametrize("is_too_slow", [True, False])
async def test_a_skip_goes_to_just_before_the_first_wanted_job(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch, *, is_too_slow: bool
) -> None:
    stores = empty_stores
    wanted = JobFilter(CHANGEABLE[Kind.BULK_CANCEL], frozenset({"compute"}))
    start = UUID(int=0)
    assert await stores.unfinished.skip(wanted, start) is None
    await stored(stores, "completed")
    await stored(stores, job_type="file")
    first = await stored(stores, "processing")
    second = await stored(stores, "queued")
    if is_too_slow:
        monkeypatch.setattr(unfinished, "SEARCH_SECONDS", 0.0000001)
        assert await stores.unfinished.skip(wanted, start) == start
        return
    assert await stores.unfinished.skip(wanted, start) == UUID(int=first.id.int - 1)
    assert await stores.unfinished.skip(wanted, UUID(int=first.id.int - 1)) == UUID(int=first.id.int - 1)
    assert await stores.unfinished.skip(wanted, first.id) == UUID(int=second.id.int - 1)
    assert await stores.unfinished.skip(wanted, second.id) is None
