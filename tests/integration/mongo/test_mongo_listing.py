"""Pages of jobs, on a real mongod."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pymongo.errors import ExecutionTimeout

from api_server.adapters.mongo import listing as mongo_listing
from api_server.adapters.mongo import stretches
from api_server.adapters.mongo.documents import to_document
from api_server.adapters.mongo.listing import PAGE_BYTES, TOGETHER, find_jobs, read_stretch
from api_server.adapters.mongo.stores import MongoStores
from api_server.adapters.mongo.stretches import EXAMINED, find_far_end, next_stretch
from api_server.adapters.mongo.walk import Walk, plan_walk
from api_server.domain.errors import AnswerTooLarge, StoreUnavailable
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobCount, JobFilter, JobPage, PageRequest, View
from tests.integration.mongo.jobs import insert, new_job, now, stored, uuid7
from tests.job_filters import is_wanted

MILLISECOND, SECOND = timedelta(milliseconds=1), timedelta(seconds=1)
TYPES = ("compute", "data", "file")
STATUSES = ("queued", "completed", "failed", "cancelled")


async def fill(stores: MongoStores, count: int, start: datetime) -> list[Job]:
    """`count` jobs, one for each millisecond, newest first."""
    jobs = [
        new_job(TYPES[i % 3], labels={"n": str(i % 2), "m": str(i % 5)}, create_time=start + i * MILLISECOND)
        for i in range(count)
    ]
    await stores.jobs._jobs.insert_many(list(map(as_if_run, jobs, range(count))))
    return jobs[::-1]


def as_if_run(job: Job, number: int) -> dict[str, Any]:
    """The job's document in one of STATUSES, with the fields that such a job has."""
    document = {**to_document(job, job.create_time), "status": STATUSES[number % 4]}
    if number % 4:
        document |= {"worker_id": f"w/{number % 3}", "end_time": job.create_time + number % 4 * SECOND}
    if number % 4 > 1:
        reason = "CANCELLED" if number % 4 == 3 else ("TIMEOUT", "EXPIRED")[number % 8 // 4]
        document["error"] = {"code": 1, "message": "m", "reason": reason}
    if number % 7 == 0:
        document["labels"].append("mark=seven")
    return document


async def read_all(
    stores: MongoStores, wanted: JobFilter, size: int, *, oldest_first: bool = False, view: View = View.FULL
) -> list[UUID]:
    ids: list[UUID] = []
    after: UUID | None = None
    while True:
        page = await stores.jobs.page(wanted, PageRequest(size, after, oldest_first, view))
        assert len(page.jobs) <= size
        ids += [job.id for job in page.jobs]
        if page.next_after is None:
            return ids
        after = page.next_after


async def page_of(
    stores: MongoStores, wanted: JobFilter, after: UUID | None, size: int, view: View = View.FULL
) -> JobPage:
    return await stores.jobs.page(wanted, PageRequest(size, after, view=view))


def in_status(*statuses: Status, **fields: Any) -> JobFilter:
    return JobFilter(statuses=frozenset(statuses), **fields)


def of_type(job_type: str, **fields: Any) -> JobFilter:
    return JobFilter(types=frozenset({job_type}), **fields)


async def test_pages_together_are_all_jobs_newest_first(empty_stores: MongoStores) -> None:
    jobs = await fill(empty_stores, 25, now())
    for size in (1, 7, 25, 1000):
        assert await read_all(empty_stores, JobFilter(), size) == [job.id for job in jobs]


async def test_the_last_page_has_no_next_id(empty_stores: MongoStores) -> None:
    jobs = await fill(empty_stores, 10, now())
    assert (await page_of(empty_stores, JobFilter(), None, 10)).next_after is None
    assert (await page_of(empty_stores, JobFilter(), None, 9)).next_after == jobs[8].id


async def test_jobs_that_are_created_between_pages_shift_nothing(empty_stores: MongoStores) -> None:
    jobs = await fill(empty_stores, 20, now())
    first = await page_of(empty_stores, JobFilter(), None, 8)
    await fill(empty_stores, 20, now() + timedelta(seconds=1))
    second = await page_of(empty_stores, JobFilter(), first.next_after, 8)
    assert [job.id for job in first.jobs + second.jobs] == [job.id for job in jobs[:16]]


def some_filters(start: datetime) -> list[JobFilter]:
    """Filters by each field and by several together, for the jobs of `fill`."""
    failed, cancelled = Status.FAILED, Status.CANCELLED
    return [
        JobFilter(),
        in_status(Status.QUEUED),
        in_status(failed),
        in_status(failed, cancelled),
        in_status(Status.QUEUED, failed),
        in_status(failed, cancelled, created_from=start + 20 * MILLISECOND),
        of_type("data"),
        of_type("file", statuses=frozenset({cancelled})),
        JobFilter(types=frozenset({"file", "data"})),
        JobFilter(types=frozenset({"file", "data"}), statuses=frozenset({failed, cancelled})),
        JobFilter(labels={"n": "1"}),
        JobFilter(labels={"n": "0", "m": "3"}),
        of_type("data", labels={"n": "0", "m": "3"}, statuses=frozenset({failed})),
        JobFilter(label_keys=frozenset({"mark"})),
        JobFilter(label_keys=frozenset({"mark", "n"}), labels={"m": "0"}),
        JobFilter(label_keys=frozenset({"mar"})),
        JobFilter(error_reasons=frozenset({"TIMEOUT"})),
        JobFilter(error_reasons=frozenset({"TIMEOUT", "CANCELLED"}), labels={"n": "0"}),
        in_status(failed, error_reasons=frozenset({"TIMEOUT", "CANCELLED"})),
        in_status(Status.QUEUED, error_reasons=frozenset({"TIMEOUT"})),
        JobFilter(worker_ids=frozenset({"w/1", "w/2"})),
        in_status(failed, worker_ids=frozenset({"w/2"})),
        JobFilter(created_from=start + 20 * MILLISECOND, created_before=start + 41 * MILLISECOND),
        JobFilter(labels={"m": "0"}, created_before=start + 41 * MILLISECOND),
        JobFilter(ended_from=start + 2 * SECOND + 20 * MILLISECOND),
        JobFilter(ended_from=start + SECOND, ended_before=start + 2 * SECOND),
        in_status(failed, cancelled, ended_before=start + 3 * SECOND + 30 * MILLISECOND),
    ]


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("view", View)
async def test_pages_together_are_exactly_the_jobs_that_meet_the_filter(
    empty_stores: MongoStores, view: View, oldest_first: bool
) -> None:
    start = now()
    await fill(empty_stores, 60, start)
    documents = await empty_stores.jobs._jobs.find().sort("_id", 1 if oldest_first else -1).to_list(None)
    for wanted in some_filters(start):
        expected = [document["_id"] for document in documents if is_wanted(document, wanted)]
        for size in (3, 100):
            found = await read_all(empty_stores, wanted, size, oldest_first=oldest_first, view=view)
            assert found == expected, (wanted, size)
        assert await empty_stores.jobs.count(wanted) == JobCount(len(expected), is_capped=False), wanted


async def test_the_basic_view_has_all_fields_that_are_never_large(empty_stores: MongoStores) -> None:
    for status in ("queued", "completed", "failed"):
        full = await stored(empty_stores, status, labels={"a": "1"})
        basic = replace(full, payload={}, result=None, past=(), stored_size=0)
        [found] = await empty_stores.jobs.get_all([full.id], View.BASIC)
        assert found is not None
        assert replace(found, stored_size=0) == basic
        page = await page_of(empty_stores, JobFilter(), None, 1, View.BASIC)
        assert replace(page.jobs[0], stored_size=0) == basic


async def test_large_jobs_in_the_basic_view_share_a_page_and_an_answer(empty_stores: MongoStores) -> None:
    payload = {"text": "x" * (PAGE_BYTES // 2)}
    jobs = [await insert(empty_stores, new_job(payload=payload), now()) for _ in range(5)]
    page = await page_of(empty_stores, JobFilter(), None, 100, View.BASIC)
    assert (len(page.jobs), page.next_after) == (5, None)
    ids = [job.id for job in jobs]
    with pytest.raises(AnswerTooLarge):
        await empty_stores.jobs.get_all(ids)
    found = await empty_stores.jobs.get_all([*ids, UUID(int=7)], View.BASIC)
    assert [job and job.id for job in found] == [*ids, None]


async def test_more_jobs_than_one_statement_reads_are_found_in_the_basic_view(
    empty_stores: MongoStores,
) -> None:
    jobs = await fill(empty_stores, 2 * TOGETHER + 1, now())
    ids = [job.id for job in jobs]
    found = await empty_stores.jobs.get_all(ids, View.BASIC)
    assert [job and job.id for job in found] == ids


async def test_a_count_examines_a_limited_number_of_jobs_and_says_so(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(empty_stores, 60, now())
    for examined, unconditional, queued in [
        (60, JobCount(60, is_capped=False), JobCount(15, is_capped=True)),
        (61, JobCount(60, is_capped=False), JobCount(15, is_capped=False)),
        (40, JobCount(40, is_capped=True), JobCount(10, is_capped=True)),
    ]:
        monkeypatch.setattr(mongo_listing, "EXAMINED", examined)
        monkeypatch.setattr(stretches, "EXAMINED", examined)
        assert await empty_stores.jobs.count(JobFilter()) == unconditional
        assert await empty_stores.jobs.count(in_status(Status.QUEUED)) == queued
    failed = JobCount(15, is_capped=False)
    assert await empty_stores.jobs.count(in_status(Status.FAILED)) == failed


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
    page = await page_of(empty_stores, JobFilter(), None, 100)
    assert len(page.jobs) == 3
    assert page.next_after == page.jobs[-1].id
    assert await read_all(empty_stores, JobFilter(), 100) == [job.id for job in jobs[::-1]]


async def test_a_page_that_is_read_slowly_ends_early_and_the_next_goes_on(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = await fill(empty_stores, 5, now())
    monkeypatch.setattr(mongo_listing, "SEARCH_SECONDS", 0.0)

    page = await page_of(empty_stores, JobFilter(), None, size=5)

    assert [job.id for job in page.jobs] == [jobs[0].id]
    assert page.next_after == jobs[0].id
    assert await read_all(empty_stores, JobFilter(), size=5) == [job.id for job in jobs]


async def test_a_single_job_above_the_limit_is_a_page(empty_stores: MongoStores) -> None:
    job = new_job(payload={"text": "x" * (PAGE_BYTES + 1)})
    await insert(empty_stores, job, now())
    assert [each.id for each in (await page_of(empty_stores, JobFilter(), None, 5)).jobs] == [job.id]


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
    documents = [{**to_document(oldest, start), "status": "failed"}, *common]
    # Each write has the store's time-out.
    for at in range(0, len(documents), 1000):
        await jobs.insert_many(documents[at : at + 1000])
    for wanted, index in [
        (of_type("rare"), "_id_"),
        (of_type("rare", statuses=frozenset({Status.FAILED})), "status_1__id_1"),
        (in_status(Status.FAILED, Status.CANCELLED, types=frozenset({"rare"})), "status_1__id_1"),
        (JobFilter(labels={"a": "1", "rare": "1"}), "labels_1__id_1"),
        (JobFilter(labels={"a": "1"}, label_keys=frozenset({"rare"})), "labels_1__id_1"),
        (JobFilter(label_keys=frozenset({"rare"})), "_id_"),
        (of_type("rare", created_from=start, created_before=start + MILLISECOND), "_id_"),
    ]:
        first = await page_of(empty_stores, wanted, None, 50)
        assert first.jobs == []
        assert first.next_after is not None
        assert await jobs.count_documents({"_id": {"$gte": first.next_after}}) <= EXAMINED
        assert await read_all(empty_stores, wanted, 50) == [oldest.id]
        walk = plan_walk(wanted)
        assert walk is not None
        for cursor in (find_far_end(jobs, walk, 500), find_jobs(jobs, walk.up_to(first.next_after), 51)):
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

    async def read(jobs: Any, stretch: Walk, *arguments: Any) -> Any:
        entries = await jobs.count_documents({"_id": stretch.within.get("_id", {"$exists": True})})
        if entries > bearable:
            raise ExecutionTimeout("operation exceeded time limit", 50)
        looked_at.append(entries)
        return await read_stretch(jobs, stretch, *arguments)

    monkeypatch.setattr(mongo_listing, "read_stretch", read)
    monkeypatch.setattr(stretches, "MAX_GROWTH", 1)
    jobs = await fill(empty_stores, 60, now())
    expected = [job.id for job in jobs if job.type == "data"]
    assert await read_all(empty_stores, of_type("data"), 100) == expected
    assert await read_all(empty_stores, of_type("rare"), 100) == []
    assert max(looked_at) <= bearable


async def test_a_page_that_takes_long_is_short(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "SEARCH_SECONDS", 0.0)
    monkeypatch.setattr(stretches, "FIRST_STRETCH", 10)
    jobs = await fill(empty_stores, 60, now())
    page = await page_of(empty_stores, of_type("rare"), None, 50)
    assert (page.jobs, page.next_after) == ([], jobs[9].id)
    page = await page_of(empty_stores, of_type("data"), page.next_after, 50)
    assert ([job.id for job in page.jobs], page.next_after) == (
        [job.id for job in jobs[10:20] if job.type == "data"],
        jobs[19].id,
    )
    assert len(await read_all(empty_stores, of_type("data"), 50)) == 20


async def test_a_job_that_cannot_be_examined_in_time_is_an_error_and_no_empty_page(
    empty_stores: MongoStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_listing, "STRETCH_SECONDS", 1e-6)
    await fill(empty_stores, 3, now())
    with pytest.raises(StoreUnavailable):
        await page_of(empty_stores, of_type("rare"), None, 50)


async def test_filtered_pages_end_at_four_mebibytes_too(empty_stores: MongoStores) -> None:
    payload = {"text": "x" * (PAGE_BYTES // 4)}
    jobs = [new_job(payload=payload, create_time=now() + i * MILLISECOND) for i in range(6)]
    for job in jobs:
        await insert(empty_stores, job, now())
    page = await page_of(empty_stores, of_type("compute"), None, 100)
    assert len(page.jobs) == 3
    assert await read_all(empty_stores, of_type("compute"), 100) == [job.id for job in jobs[::-1]]


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
    for wanted in (JobFilter(), in_status(Status.FAILED), JobFilter(labels={"n": "1"})):
        walk = plan_walk(wanted)
        assert walk is not None
        assert walk.conditions == {}
        plan = await find_jobs(empty_stores.jobs._jobs, walk, 11).explain()
        assert plan["executionStats"]["totalDocsExamined"] == 11


def used_indexes(stage: Any) -> set[str]:
    if isinstance(stage, list):
        return set().union(*map(used_indexes, stage))
    if not isinstance(stage, Mapping):
        return set()
    # MongoDB would read all jobs before it returned the first one.
    assert stage.get("stage") != "SORT"
    inner = [used_indexes(value) for value in stage.values()]
    return {stage["indexName"]}.union(*inner) if "indexName" in stage else set().union(*inner)
