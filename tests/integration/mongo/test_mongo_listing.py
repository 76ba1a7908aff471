"""Pages of jobs, on a real mongod."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pymongo.errors import ExecutionTimeout

from api_server.adapters.mongo import listing as mongo_listing
from api_server.adapters.mongo.documents import to_document
from api_server.adapters.mongo.listing import (
    EXAMINED,
    PAGE_BYTES,
    Walk,
    find_far_end,
    find_newest,
    next_stretch,
    plan_walk,
    read_stretch,
)
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.errors import StoreUnavailable
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobFilter
from tests.integration.mongo.jobs import insert, new_job, now, uuid7

MILLISECOND = timedelta(milliseconds=1)
TYPES = ("compute", "data", "file")
STATUSES = ("queued", "completed", "failed", "cancelled")


async def fill(stores: MongoStores, count: int, start: datetime) -> list[Job]:
    """`count` jobs, one for each millisecond, newest first."""
    jobs = [
        new_job(TYPES[i % 3], labels={"n": str(i % 2), "m": str(i % 5)}, create_time=start + i * MILLISECOND)
        for i in range(count)
    ]
    documents = [{**to_document(job, start), "status": STATUSES[i % 4]} for i, job in enumerate(jobs)]
    await stores.jobs._jobs.insert_many(documents)
    return jobs[::-1]


async def read_all(stores: MongoStores, wanted: JobFilter, size: int) -> list[UUID]:
    ids: list[UUID] = []
    after: UUID | None = None
    while True:
        page = await stores.jobs.page(wanted, after, size)
        assert len(page.jobs) <= size
        ids += [job.id for job in page.jobs]
        if page.next_after is None:
            return ids
        after = page.next_after


async def test_pages_together_are_all_jobs_newest_first(empty_stores: MongoStores) -> None:
    jobs = await fill(empty_stores, 25, now())
    for size in (1, 7, 25, 1000):
        assert await read_all(empty_stores, JobFilter(), size) == [job.id for job in jobs]


async def test_the_last_page_has_no_next_id(empty_stores: MongoStores) -> None:
    jobs = await fill(empty_stores, 10, now())
    assert (await empty_stores.jobs.page(JobFilter(), None, 10)).next_after is None
    assert (await empty_stores.jobs.page(JobFilter(), None, 9)).next_after == jobs[8].id


async def test_jobs_that_are_created_between_pages_shift_nothing(empty_stores: MongoStores) -> None:
    jobs = await fill(empty_stores, 20, now())
    first = await empty_stores.jobs.page(JobFilter(), None, 8)
    await fill(empty_stores, 20, now() + timedelta(seconds=1))
    second = await empty_stores.jobs.page(JobFilter(), first.next_after, 8)
    assert [job.id for job in first.jobs + second.jobs] == [job.id for job in jobs[:16]]


@pytest.mark.parametrize("size", [3, 100])
@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.QUEUED},
        {"status": Status.FAILED},
        {"type": "data"},
        {"status": Status.CANCELLED, "type": "file"},
        {"labels": {"n": "1"}},
        {"labels": {"n": "0", "m": "3"}, "status": Status.FAILED, "type": "data"},
        {"created_from": 20, "created_before": 41},
        {"status": Status.FAILED, "created_from": 20},
        {"labels": {"m": "0"}, "created_before": 41},
    ],
)
async def test_a_filter_selects_exactly_the_jobs_that_meet_it(
    empty_stores: MongoStores, fields: dict[str, Any], size: int
) -> None:
    start = now()
    jobs = await fill(empty_stores, 60, start)
    times = {key: start + value * MILLISECOND for key, value in fields.items() if key.startswith("created")}
    wanted = JobFilter(**{**fields, **times})
    low, high = fields.get("created_from", 0), fields.get("created_before", 60)
    expected = [
        job.id
        for i, job in zip(range(59, -1, -1), jobs, strict=True)
        if low <= i < high
        and wanted.status in (None, STATUSES[i % 4])
        and wanted.type in (None, job.type)
        and wanted.labels.items() <= job.labels.items()
    ]
    assert expected
    assert await read_all(empty_stores, wanted, size) == expected


async def test_a_time_between_milliseconds_is_compared_exactly(empty_stores: MongoStores) -> None:
    start = now()
    [job] = await fill(empty_stores, 1, start)
    between = start + timedelta(microseconds=500)
    assert await read_all(empty_stores, JobFilter(created_before=between), 10) == [job.id]
    assert await read_all(empty_stores, JobFilter(created_from=between), 10) == []


async def test_ids_older_or_newer_than_their_jobs_are_found_by_time(empty_stores: MongoStores) -> None:
    start = now()
    for shift in (timedelta(hours=-24), timedelta(minutes=5)):
        job = new_job(create_time=start)
        document = {**to_document(job, start), "_id": uuid7(start + shift)}
        await empty_stores.jobs._jobs.insert_one(document)
    wanted = JobFilter(created_from=start, created_before=start + MILLISECOND)
    assert len(await read_all(empty_stores, wanted, 10)) == 2


async def test_a_page_ends_at_four_mebibytes(empty_stores: MongoStores) -> None:
    payload = {"text": "x" * (PAGE_BYTES // 4)}
    jobs = [new_job(payload=payload, create_time=now() + i * MILLISECOND) for i in range(9)]
    for job in jobs:
        await insert(empty_stores, job, now())
    page = await empty_stores.jobs.page(JobFilter(), None, 100)
    assert len(page.jobs) == 3
    assert page.next_after == page.jobs[-1].id
    assert await read_all(empty_stores, JobFilter(), 100) == [job.id for job in jobs[::-1]]


async def test_a_single_job_above_the_limit_is_a_page(empty_stores: MongoStores) -> None:
    job = new_job(payload={"text": "x" * (PAGE_BYTES + 1)})
    await insert(empty_stores, job, now())
    assert [each.id for each in (await empty_stores.jobs.page(JobFilter(), None, 5)).jobs] == [job.id]


async def test_rare_jobs_are_searched_in_bounded_stretches_of_the_right_index(
    empty_stores: MongoStores,
) -> None:
    start = now() - timedelta(hours=1)
    oldest = new_job("rare", labels={"a": "1", "rare": "1"}, create_time=start)
    common = [
        {
            **to_document(new_job(labels={"a": "1"}, create_time=start + i * MILLISECOND), start),
            "status": "failed",
        }
        for i in range(1, EXAMINED + 500)
    ]
    jobs = empty_stores.jobs._jobs
    await jobs.insert_many([{**to_document(oldest, start), "status": "failed"}, *common])
    for wanted, index in [
        (JobFilter(type="rare"), "_id_"),
        (JobFilter(type="rare", status=Status.FAILED), "status_1__id_1"),
        (JobFilter(labels={"a": "1", "rare": "1"}), "labels_1__id_1"),
        (JobFilter(type="rare", created_from=start, created_before=start + MILLISECOND), "_id_"),
    ]:
        first = await empty_stores.jobs.page(wanted, None, 50)
        assert first.jobs == []
        assert first.next_after is not None
        assert await jobs.count_documents({"_id": {"$gte": first.next_after}}) <= EXAMINED
        assert await read_all(empty_stores, wanted, 50) == [oldest.id]
        walk = plan_walk(wanted, None)
        for cursor in (find_far_end(jobs, walk, 500), find_newest(jobs, walk, first.next_after, 51)):
            plan = await cursor.explain()
            assert used_indexes(plan["queryPlanner"]["winningPlan"]) == {index}
            assert plan["executionStats"]["totalKeysExamined"] <= EXAMINED
            assert plan["executionStats"]["totalDocsExamined"] <= EXAMINED


@pytest.mark.parametrize("bearable", [40, 3, 1])
async def test_jobs_that_take_long_to_examine_are_examined_in_shorter_stretches(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch, bearable: int
) -> None:
    """Jobs of 1 MiB, for example, of which MongoDB can examine at most `bearable` in time."""
    looked_at: list[int] = []

    async def read(jobs: Any, walk: Walk, far_end: UUID | None, limit: int, max_bytes: int) -> Any:
        ids = {**walk.within.get("_id", {}), **({"$gte": far_end} if far_end else {})}
        entries = await jobs.count_documents({"_id": ids})
        if entries > bearable:
            raise ExecutionTimeout("operation exceeded time limit", 50)
        looked_at.append(entries)
        return await read_stretch(jobs, walk, far_end, limit, max_bytes)

    monkeypatch.setattr(mongo_listing, "read_stretch", read)
    monkeypatch.setattr(mongo_listing, "MAX_GROWTH", 1)
    jobs = await fill(empty_stores, 60, now())
    expected = [job.id for job in jobs if job.type == "data"]
    assert await read_all(empty_stores, JobFilter(type="data"), 100) == expected
    assert await read_all(empty_stores, JobFilter(type="rare"), 100) == []
    assert max(looked_at) <= bearable


async def test_a_page_that_takes_long_is_short(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_listing, "SEARCH_SECONDS", 0.0)
    monkeypatch.setattr(mongo_listing, "FIRST_STRETCH", 10)
    jobs = await fill(empty_stores, 60, now())
    page = await empty_stores.jobs.page(JobFilter(type="rare"), None, 50)
    assert (page.jobs, page.next_after) == ([], jobs[9].id)
    page = await empty_stores.jobs.page(JobFilter(type="data"), page.next_after, 50)
    assert ([job.id for job in page.jobs], page.next_after) == (
        [job.id for job in jobs[10:20] if job.type == "data"],
        jobs[19].id,
    )
    assert len(await read_all(empty_stores, JobFilter(type="data"), 50)) == 20


async def test_a_job_that_cannot_be_examined_in_time_is_an_error_and_no_empty_page(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_listing, "STRETCH_SECONDS", 1e-6)
    await fill(empty_stores, 3, now())
    with pytest.raises(StoreUnavailable):
        await empty_stores.jobs.page(JobFilter(type="rare"), None, 50)


async def test_filtered_pages_end_at_four_mebibytes_too(empty_stores: MongoStores) -> None:
    payload = {"text": "x" * (PAGE_BYTES // 4)}
    jobs = [new_job(payload=payload, create_time=now() + i * MILLISECOND) for i in range(6)]
    for job in jobs:
        await insert(empty_stores, job, now())
    page = await empty_stores.jobs.page(JobFilter(type="compute"), None, 100)
    assert len(page.jobs) == 3
    assert await read_all(empty_stores, JobFilter(type="compute"), 100) == [job.id for job in jobs[::-1]]


@pytest.mark.parametrize(
    ("entries", "seconds", "following"),
    [(100, 0.001, 400), (100, 0.05, 200), (100, 0.1, 100), (100, 0.5, 20), (1, 0.5, 1), (10, 0.0, 40)],
)
def test_the_time_of_the_last_stretch_decides_the_length_of_the_next(
    entries: int, seconds: float, following: int
) -> None:
    assert next_stretch(entries, seconds) == following


async def test_a_page_without_conditions_examines_only_what_it_shows(empty_stores: MongoStores) -> None:
    await fill(empty_stores, 200, now())
    for wanted in (JobFilter(), JobFilter(status=Status.FAILED), JobFilter(labels={"n": "1"})):
        walk = plan_walk(wanted, None)
        assert walk.conditions == {}
        plan = await find_newest(empty_stores.jobs._jobs, walk, None, 11).explain()
        assert plan["executionStats"]["totalDocsExamined"] == 11


def used_indexes(stage: Any) -> set[str]:
    if not isinstance(stage, Mapping):
        return set()
    inner = [used_indexes(value) for value in stage.values()]
    return {stage["indexName"]}.union(*inner) if "indexName" in stage else set().union(*inner)
