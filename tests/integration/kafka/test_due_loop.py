"""The due loop on a real MongoDB and a real Kafka."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from api_server.adapters.mongo.stores import MongoStores
from api_server.dispatch.dispatcher import QueuedDispatcher
from api_server.domain.creation import DISPATCH_GRACE
from api_server.domain.heartbeat_times import HeartbeatTimes
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.resolution import Applied
from api_server.domain.transitions import claim
from api_server.recovery.due_loop import DueLoop
from api_server.recovery.due_scans import DueScan
from local_stack.stack import Stack
from tests.integration.kafka.broker import GROUP, PARTITIONS, Adapters, Broker
from tests.integration.kafka.test_kafka_publisher import publish_until_written
from tests.integration.mongo.jobs import get, insert, new_job
from tests.unit.api_server.dispatch.dispatch_fakes import make_dispatch
from tests.waiting import until

NO_LEASE_ENDS = 3600.0
"""Seconds of a job lease that no test reaches."""
SHORT_LEASE = 2.0


async def store_job(stores: MongoStores, job_type: str, due_in: float = 0.0) -> Job:
    """A queued job that is due after `due_in` seconds."""
    due_time = stores.clock.now() + timedelta(seconds=due_in)
    return await insert(stores, new_job(job_type), due_time)


async def claim_job(stores: MongoStores, job: Job, worker: str, lease: float) -> None:
    now = stores.clock.now()
    (outcome,) = await stores.jobs.apply([claim(job.id, worker, job.attempt, now, timedelta(seconds=lease))])
    assert isinstance(outcome, Applied)


async def status(stores: MongoStores, job_id: UUID) -> Status:
    job = await get(stores, job_id)
    assert job is not None
    return job.status


def make_loop(stores: MongoStores, kafka: Adapters, job_type: str, lease: float = NO_LEASE_ENDS) -> DueLoop:
    return DueLoop(
        stores.due,
        stores.due_lease,
        kafka.publisher,
        kafka.offsets,
        stores.clock,
        (job_type,),
        HeartbeatTimes(timedelta(seconds=lease), timedelta(0)),
    )


@asynccontextmanager
async def running(loop: DueLoop) -> AsyncIterator[DueLoop]:
    await loop.start()
    try:
        yield loop
    finally:
        await loop.stop()


async def test_a_job_that_nobody_published_is_published_by_the_loop(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    job = await store_job(stores, job_type)
    async with (
        broker.adapters(job_type) as kafka,
        broker.reader(job_type) as reader,
        running(make_loop(stores, kafka, job_type)),
    ):
        await reader.read_until(lambda: reader.ids == [str(job.id)])
        await until(lambda: _nothing_due(stores, job_type))
    assert reader.records[0].attempt == 0
    assert reader.records[0].payload.fields["input"].string_value == "x"


async def _nothing_due(stores: MongoStores, job_type: str) -> bool:
    return not await stores.due.due(job_type, stores.clock.now(), 1)


async def test_a_job_published_and_marked_by_the_dispatcher_is_not_due(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    job = await store_job(stores, job_type)
    async with broker.adapters(job_type) as kafka, broker.reader(job_type) as reader:
        dispatcher = QueuedDispatcher(kafka.publisher, stores.due, stores.clock)
        await dispatcher.start()
        dispatcher.offer(Dispatch(job.id, job_type, 0, job.payload), stores.clock.now() + DISPATCH_GRACE)
        await reader.read_until(lambda: reader.ids == [str(job.id)])
        await dispatcher.stop()
        assert await _nothing_due(stores, job_type)


class Passes:
    """One pass of the scan after another. Between two passes every waiting job becomes due again."""

    def __init__(self, stores: MongoStores, kafka: Adapters, job_type: str) -> None:
        self._scan = DueScan(stores.due, kafka.publisher, kafka.offsets, [job_type])
        self._time = stores.clock.now()

    async def next(self) -> tuple[int, int]:
        """Jobs published, and jobs whose records still wait."""
        report = await self._scan.run_once(self._time)
        self._time += timedelta(hours=2)
        return report.published, report.still_waiting


async def offsets_known(kafka: Adapters, job_type: str) -> None:
    """A broker that has just started needs a moment before it knows the group's offsets."""

    async def known() -> bool:
        return await kafka.offsets.partition_states(job_type, [0]) is not None

    await until(known)


async def test_a_job_due_again_is_published_only_when_its_record_does_not_wait_any_more(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    job = await store_job(stores, job_type)
    async with broker.adapters(job_type) as kafka, broker.reader(job_type, GROUP) as reader:
        await offsets_known(kafka, job_type)
        passes = Passes(stores, kafka, job_type)
        assert await passes.next() == (1, 0)
        assert await passes.next() == (0, 1)
        await reader.read_to_end()
        assert reader.ids == [str(job.id)]
        await reader.consumer.commit()
        assert await passes.next() == (1, 0)
        await reader.read_until(lambda: reader.ids == [str(job.id)] * 2)


async def test_a_job_whose_record_is_gone_does_not_wait_behind_a_topic_that_always_lags(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    jobs = [await store_job(stores, job_type) for _ in range(5 * PARTITIONS)]
    async with broker.adapters(job_type) as kafka, broker.reader(job_type, GROUP) as reader:
        await offsets_known(kafka, job_type)
        passes = Passes(stores, kafka, job_type)
        assert await passes.next() == (len(jobs), 0)
        await reader.read_to_end()
        read = {job_id for job_id, position in reader.positions.items() if position.offset < 2}
        # The group reads two records of each partition, claims none of the jobs, and stops reading.
        await reader.commit(job_type, dict.fromkeys(range(PARTITIONS), 2))
        assert await passes.next() == (2 * PARTITIONS, 3 * PARTITIONS)
        await reader.read_until(lambda: len(reader.records) == 7 * PARTITIONS)
        assert set(reader.ids[5 * PARTITIONS :]) == read
        assert await passes.next() == (0, 5 * PARTITIONS)


async def test_jobs_of_a_deleted_topic_are_published_again_although_new_records_have_their_offsets(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    lost = [await store_job(stores, job_type) for _ in range(3 * PARTITIONS)]
    async with broker.adapters(job_type) as kafka:
        await offsets_known(kafka, job_type)
        passes = Passes(stores, kafka, job_type)
        assert await passes.next() == (len(lost), 0)
        await broker.delete_topic(job_type)
        assert await broker.topics(job_type).create_missing()
        await broker.partitions_when_made(job_type)
        others = [make_dispatch(job_type=job_type) for _ in range(10 * PARTITIONS)]
        await publish_until_written(kafka.publisher, others)
        assert await passes.next() == (len(lost), 0)
        assert await passes.next() == (0, len(lost))
    async with broker.reader(job_type) as reader:
        await reader.read_to_end()
        assert {str(job.id) for job in lost} <= set(reader.ids)


async def test_a_job_of_a_deleted_topic_is_published_again_and_the_topic_is_created(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    job = await store_job(stores, job_type)
    async with broker.adapters(job_type) as kafka:
        await offsets_known(kafka, job_type)
        passes = Passes(stores, kafka, job_type)
        assert await passes.next() == (1, 0)
        await broker.delete_topic(job_type)

        async def goes_out() -> bool:
            # A type pauses after each pass in which the broker did not take all jobs.
            return await passes.next() == (1, 0)

        await until(goes_out)
    async with broker.reader(job_type) as reader:
        await reader.read_until(lambda: str(job.id) in reader.ids)


async def test_jobs_whose_records_retention_removed_are_published_again(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    jobs = [await store_job(stores, job_type) for _ in range(5 * PARTITIONS)]
    async with broker.adapters(job_type) as kafka:
        await offsets_known(kafka, job_type)
        passes = Passes(stores, kafka, job_type)
        assert await passes.next() == (len(jobs), 0)
        await broker.delete_records(job_type, dict.fromkeys(range(PARTITIONS), 4))
        assert await passes.next() == (4 * PARTITIONS, PARTITIONS)
        assert await passes.next() == (0, 5 * PARTITIONS)


@pytest.mark.slow
async def test_jobs_stored_while_kafka_is_frozen_are_published_afterwards(
    servers: Stack, stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    async with (
        broker.adapters(job_type) as kafka,
        broker.reader(job_type) as reader,
        running(make_loop(stores, kafka, job_type)) as loop,
    ):
        await until(lambda: _leads(loop))
        servers.freeze("kafka")
        try:
            jobs = [await store_job(stores, job_type) for _ in range(20)]
            assert await kafka.publisher.publish([Dispatch(jobs[0].id, job_type, 0, jobs[0].payload)]) == [
                None
            ]
            assert loop.is_leader
        finally:
            servers.thaw("kafka")
        await reader.read_until(lambda: {str(job.id) for job in jobs} <= set(reader.ids))


async def _leads(loop: DueLoop) -> bool:
    return loop.is_leader


@pytest.mark.slow
async def test_one_of_two_loops_publishes_and_the_other_takes_over_when_it_dies(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    async with (
        broker.adapters(job_type) as kafka,
        broker.reader(job_type) as reader,
    ):
        first, second = (make_loop(stores, kafka, job_type) for _ in range(2))
        await first.start()
        await until(lambda: _leads(first))
        async with running(second):
            jobs = [await store_job(stores, job_type) for _ in range(10)]
            await reader.read_until(lambda: len(reader.records) >= 10)
            assert sorted(reader.ids) == sorted(str(job.id) for job in jobs)
            assert (first.is_leader, second.is_leader) == (True, False)
            for task in first._tasks:  # as when a process is killed: it releases nothing
                task.cancel()
            orphan = await store_job(stores, job_type)
            await reader.read_until(lambda: str(orphan.id) in reader.ids)
            assert (first.is_leader, second.is_leader) == (False, True)


async def test_a_loop_that_stops_releases_its_lease(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    async with broker.adapters(job_type) as kafka:
        first, second = (make_loop(stores, kafka, job_type) for _ in range(2))
        async with running(first):
            await until(lambda: _leads(first))
        assert await second._leadership.prolong()


async def test_a_job_whose_worker_fell_silent_is_queued_and_published_again(
    stores: MongoStores, broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    job = await store_job(stores, job_type)
    await claim_job(stores, job, "w/1", lease=0.1)
    async with (
        broker.adapters(job_type) as kafka,
        broker.reader(job_type) as reader,
        running(make_loop(stores, kafka, job_type, SHORT_LEASE)),
    ):
        await reader.read_until(lambda: reader.ids == [str(job.id)])
        assert reader.records[0].attempt == 1
        assert await status(stores, job.id) is Status.QUEUED


@pytest.mark.slow
async def test_an_outage_of_mongodb_longer_than_a_lease_ends_no_lease_that_is_prolonged_after_it(
    stores: MongoStores, broker: Broker, servers: Stack, job_type: str
) -> None:
    kept, silent = await store_job(stores, job_type), await store_job(stores, job_type)
    async with (
        broker.adapters(job_type) as kafka,
        running(make_loop(stores, kafka, job_type, SHORT_LEASE)) as loop,
    ):
        await until(lambda: _may_end_leases(loop))
        await claim_job(stores, kept, "living", SHORT_LEASE)
        await claim_job(stores, silent, "dead", SHORT_LEASE)
        lease_end = stores.clock.now() + timedelta(seconds=SHORT_LEASE)
        servers.freeze("mongodb")
        try:
            await until(lambda: _passed(stores, lease_end))
        finally:
            servers.thaw("mongodb")
        # Only the living worker sends heartbeats again.
        heartbeats = asyncio.create_task(_beat(stores, "living", kept.id))
        await until(lambda: _is_queued(stores, silent.id))
        assert await status(stores, kept.id) is Status.PROCESSING
        heartbeats.cancel()


async def _may_end_leases(loop: DueLoop) -> bool:
    return (loop._leadership.unbroken_seconds() or 0.0) > SHORT_LEASE


async def _passed(stores: MongoStores, moment: datetime) -> bool:
    return stores.clock.now() > moment


async def _is_queued(stores: MongoStores, job_id: UUID) -> bool:
    return await status(stores, job_id) is Status.QUEUED


async def _beat(stores: MongoStores, worker: str, job_id: UUID) -> None:
    while True:
        await stores.jobs.move_leases(worker, [job_id], stores.clock.now(), SHORT_LEASE)
        await asyncio.sleep(0.2)
