"""No end of a job loses its notification, on a real mongod: whatever ends the job, and whenever a server
dies.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from api_server.adapters.mongo.indexes import BY_UNNOTIFIED
from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.creation import NewJob, new_job_id
from api_server.domain.errors import JobIdTaken, StoreUnavailable
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobFilter, PageRequest
from api_server.domain.notification import EndedJob, NotifyDefaults, webhook_id, webhook_job
from api_server.domain.notify import Notify
from api_server.domain.transition import NO_WORKER
from api_server.domain.transitions import claim, complete, complete_unfenced, retry
from api_server.notifications.notification_loop import NotificationLoop
from contract_runtime.errors import InvalidArgument
from contract_runtime.webhooks import WEBHOOK_TYPE
from tests.integration.mongo.jobs import (
    LEASE,
    RESULT,
    WORKER,
    document,
    insert,
    new_job,
    now,
    read,
    set_fields,
    stored,
)
from tests.integration.mongo.services import Offered, Uncounted, service

URL = "https://a.example/hook"
NOTIFY = Notify(URL)
LATER = timedelta(minutes=1)


class Dying:
    """A store of which one call fails once, as if the server died there."""

    def __init__(self, store: Any, call: str) -> None:
        self._store = store
        self._call = call

    def __getattr__(self, name: str) -> Any:
        if name != self._call:
            return getattr(self._store, name)
        self._call = ""

        async def die(*_arguments: Any) -> None:
            raise StoreUnavailable

        return die


def loop_of(stores: MongoStores, unnotified: Any = None, jobs: Any = None) -> NotificationLoop:
    return NotificationLoop(
        unnotified or stores.unnotified,
        jobs or stores.jobs,
        Offered(),
        stores.clock,
        Uncounted(),
        lambda: True,
    )


async def webhooks(stores: MongoStores) -> Sequence[Job]:
    page = await stores.jobs.page(JobFilter(types=frozenset({WEBHOOK_TYPE})), PageRequest(100, None))
    return page.jobs


async def unnotified(stores: MongoStores) -> list[EndedJob]:
    return await stores.unnotified.unnotified(100)


def ended(job: Job) -> EndedJob:
    assert job.end_time is not None
    return EndedJob(job.id, job.type, job.status, job.revision, job.end_time, URL)


# --- Whatever ends the job ---


async def expire_waiting(stores: MongoStores) -> Job:
    job = await insert(stores, new_job(notify=NOTIFY, expire_time=now()), now())
    await stores.due.expire("compute", [job.id], now() + LATER)
    return job


async def end_as_poison(stores: MongoStores) -> Job:
    job = await stored(stores, "processing", notify=NOTIFY)
    await set_fields(stores, job.id, {"$set": {"alone": True, "lone_losses": 2, "losses": 2}})
    assert (await stores.due.expire_leases(now() + LATER, 10)).count == 1
    return job


async def lose_the_worker(stores: MongoStores) -> Job:
    """As above, but its worker registers again."""
    job = await stored(stores, "processing", notify=NOTIFY)
    await set_fields(stores, job.id, {"$set": {"alone": True, "lone_losses": 2, "losses": 2}})
    assert (await stores.jobs.release_all(WORKER, now())).count == 1
    return job


async def report_without_a_worker(stores: MongoStores) -> Job:
    job = await stored(stores, "claimed_unfenced", notify=NOTIFY)
    assert job.worker_id == NO_WORKER
    await stores.jobs.apply([complete_unfenced(job.id, Status.COMPLETED, {}, None, now())])
    return job


async def cancel_waiting(stores: MongoStores) -> Job:
    job = await insert(stores, new_job(notify=NOTIFY), now())
    return await service(stores).cancel(job.id, "")


def report(status: str) -> Callable[[MongoStores], Awaitable[Job]]:
    async def end(stores: MongoStores) -> Job:
        return await stored(stores, status, notify=NOTIFY)

    return end


async def report_of_many(stores: MongoStores) -> Job:
    """Several reports in one statement, which is a pipeline."""
    jobs = [await stored(stores, "processing", notify=NOTIFY) for _ in range(2)]
    await stores.jobs.apply([complete(job.id, WORKER, 1, {"n": n}, now()) for n, job in enumerate(jobs)])
    await stores.unnotified.mark_notified([ended(await read(stores, jobs[1].id))])
    return jobs[0]


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (report("completed"), Status.COMPLETED),
        (report("failed"), Status.FAILED),
        (report("cancelled"), Status.CANCELLED),
        (report_of_many, Status.COMPLETED),
        (report_without_a_worker, Status.COMPLETED),
        (cancel_waiting, Status.CANCELLED),
        (expire_waiting, Status.FAILED),
        (end_as_poison, Status.FAILED),
        (lose_the_worker, Status.FAILED),
    ],
)
async def test_every_end_of_a_job_is_notified_once(
    empty_stores: MongoStores, end: Callable[[MongoStores], Awaitable[Job]], status: Status
) -> None:
    job = await read(empty_stores, (await end(empty_stores)).id)
    assert job.status is status
    assert await unnotified(empty_stores) == [ended(job)]
    assert [await loop_of(empty_stores).step() for _ in range(2)] == [1, 0]
    [webhook] = await webhooks(empty_stores)
    assert webhook.id == webhook_id(ended(job))
    assert webhook.payload == webhook_job(ended(job)).payload
    assert await read(empty_stores, job.id) == job


@pytest.mark.parametrize("status", ["queued", "processing"])
async def test_a_job_that_has_not_ended_is_not_notified(empty_stores: MongoStores, status: str) -> None:
    await stored(empty_stores, status, notify=NOTIFY)
    assert await unnotified(empty_stores) == []


# --- Whenever a server dies ---


@pytest.mark.parametrize("call", ["insert_all", "unnotified", "mark_notified"])
async def test_a_server_that_dies_at_any_write_neither_loses_nor_doubles_a_webhook(
    empty_stores: MongoStores, call: str
) -> None:
    job = await stored(empty_stores, "completed", notify=NOTIFY)
    dying = loop_of(empty_stores, Dying(empty_stores.unnotified, call), Dying(empty_stores.jobs, call))
    with pytest.raises(StoreUnavailable):
        await dying.step()
    assert [await loop_of(empty_stores).step() for _ in range(2)] == [1, 0]
    assert [each.id for each in await webhooks(empty_stores)] == [webhook_id(ended(job))]


async def test_two_servers_that_both_believe_to_lead_store_one_webhook(empty_stores: MongoStores) -> None:
    job = await stored(empty_stores, "completed", notify=NOTIFY)
    waiting = await unnotified(empty_stores)
    await loop_of(empty_stores).step()
    await empty_stores.jobs.insert_all([(webhook_job(each), now()) for each in waiting])
    await empty_stores.unnotified.mark_notified(waiting)
    assert [each.id for each in await webhooks(empty_stores)] == [webhook_id(ended(job))]


# --- Retry ---


async def test_a_retried_job_is_notified_again_with_its_new_revision(empty_stores: MongoStores) -> None:
    job = await stored(empty_stores, "failed", notify=NOTIFY)
    await loop_of(empty_stores).step()
    await empty_stores.jobs.apply([retry(job.id, "call", now())])
    assert await unnotified(empty_stores) == []
    await complete_again(empty_stores, job)
    await loop_of(empty_stores).step()
    sent = [webhook.payload["event"]["data"] for webhook in await webhooks(empty_stores)]
    assert {(each["status"], each["revision"]) for each in sent} == {
        ("failed", job.revision),
        ("completed", job.revision + 3),
    }


async def complete_again(stores: MongoStores, job: Job) -> None:
    await stores.jobs.apply([claim(job.id, WORKER, 1, now(), LEASE)])
    await stores.jobs.apply([complete(job.id, WORKER, 2, RESULT, now())])


async def test_a_job_that_is_retried_while_its_webhook_is_stored_is_notified_of_its_next_end(
    empty_stores: MongoStores,
) -> None:
    job = await stored(empty_stores, "failed", notify=NOTIFY)
    first = await unnotified(empty_stores)
    await empty_stores.jobs.apply([retry(job.id, "call", now())])
    await empty_stores.unnotified.mark_notified(first)
    await complete_again(empty_stores, job)
    assert [each.revision for each in await unnotified(empty_stores)] == [job.revision + 3]


# --- Jobs without `notify` ---


async def test_a_job_without_notify_has_no_more_fields_also_after_retry(empty_stores: MongoStores) -> None:
    job = await stored(empty_stores, "failed")
    assert not {"notify", "unnotified"} & (await document(empty_stores, job.id)).keys()
    await empty_stores.jobs.apply([retry(job.id, "call", now())])
    assert not {"notify", "unnotified"} & (await document(empty_stores, job.id)).keys()


async def test_a_look_for_ended_jobs_examines_only_those(empty_stores: MongoStores) -> None:
    for status in ("queued", "completed", "failed"):
        await stored(empty_stores, status)
    await stored(empty_stores, "queued", notify=NOTIFY)
    await stored(empty_stores, "completed", notify=NOTIFY)
    where = {"unnotified": True, "status": {"$in": ["cancelled", "completed", "failed"]}}
    plan = await empty_stores.jobs._jobs.find(where).hint(BY_UNNOTIFIED).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 1
    assert plan["executionStats"]["totalKeysExamined"] <= 4


# --- Create ---

BOTH = ("compute", WEBHOOK_TYPE)


async def test_only_the_server_creates_webhooks(stores: MongoStores) -> None:
    wanted = NewJob(WEBHOOK_TYPE, {"url": "http://10.0.0.1/", "event": {}})
    with pytest.raises(InvalidArgument, match=r"^type: must not be webhook-delivery"):
        await service(stores, types=BOTH).create(wanted)
    [refused] = await service(stores, types=BOTH).create_batch([wanted])
    assert isinstance(refused, InvalidArgument)


async def test_notify_is_refused_if_nobody_delivers_webhooks(stores: MongoStores) -> None:
    wanted = NewJob("compute", {}, notify=NOTIFY)
    with pytest.raises(InvalidArgument, match=r"^notify: must not be set"):
        await service(stores).create(wanted)
    job = await service(stores, types=BOTH).create(wanted)
    assert (await read(stores, job.id)).notify == NOTIFY


async def test_a_request_without_notify_gets_the_default_of_its_type(stores: MongoStores) -> None:
    creating = service(stores, types=BOTH, notify=NotifyDefaults(URL))
    default = await creating.create(NewJob("compute", {}))
    assert (await read(stores, default.id)).notify == Notify(URL, is_default=True)
    own = await creating.create(NewJob("compute", {}, notify=Notify("https://b.example/")))
    assert own.notify == Notify("https://b.example/")
    assert (await service(stores).create(NewJob("compute", {}))).notify is None


async def test_a_repeated_create_may_meet_another_default_but_not_another_url(stores: MongoStores) -> None:
    wanted = NewJob("compute", {}, id=new_job_id(now()))
    first = await service(stores, types=BOTH, notify=NotifyDefaults(URL)).create(wanted)
    assert await service(stores).create(wanted) == first
    with pytest.raises(JobIdTaken):
        await service(stores, types=BOTH).create(replace(wanted, notify=NOTIFY))
