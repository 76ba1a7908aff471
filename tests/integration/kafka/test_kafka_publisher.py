"""Publishing to a real Kafka, and during its outages."""

import asyncio
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from api_server.adapters.kafka.publisher import KafkaPublisher
from api_server.dispatch.dispatcher import QueuedDispatcher
from api_server.domain.creation import DISPATCH_GRACE
from api_server.domain.job import Dispatch
from contract_runtime.topics import topic_of
from local_stack.stack import Stack
from tests.integration.kafka.broker import DEADLINE, PARTITIONS, Broker
from tests.unit.api_server.dispatch.dispatch_fakes import NOW, FakeDueStore, FixedClock, make_dispatch


def some(job_type: str, count: int) -> list[Dispatch]:
    return [make_dispatch({"n": n}, attempt=n % 3, job_type=job_type) for n in range(count)]


async def publish_until_written(publisher: KafkaPublisher, dispatches: Sequence[Dispatch]) -> None:
    """Publish failed dispatches again, as the due loop does."""
    left = list(dispatches)
    async with asyncio.timeout(DEADLINE):
        while left:
            positions = await publisher.publish(left)
            left = [dispatch for dispatch, position in zip(left, positions, strict=True) if position is None]
            if left:
                await asyncio.sleep(0.1)


async def test_each_job_is_written_once_and_all_partitions_get_some(broker: Broker, job_type: str) -> None:
    dispatches = some(job_type, 100)
    async with broker.publisher(job_type) as publisher:
        assert all(await publisher.publish(dispatches))
    async with broker.reader(job_type) as reader:
        await reader.read_to_end()
        assert sorted(reader.ids) == sorted(str(dispatch.job_id) for dispatch in dispatches)
        assert reader.partitions == set(range(PARTITIONS))


async def test_jobs_published_one_by_one_go_to_all_partitions_in_turn(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        for dispatch in some(job_type, PARTITIONS):
            assert all(await publisher.publish([dispatch]))
    async with broker.reader(job_type) as reader:
        await reader.read_to_end()
        assert reader.partitions == set(range(PARTITIONS))


async def test_several_batches_for_one_partition_are_written(broker: Broker, job_type: str) -> None:
    large = [make_dispatch({"input": "x" * 100_000, "n": n}, job_type=job_type) for n in range(40)]
    async with broker.publisher(job_type) as publisher:
        positions = await publisher.publish(large)
    async with broker.reader(job_type) as reader:
        await reader.read_to_end()
        assert all(len(record.payload.fields["input"].string_value) == 100_000 for record in reader.records)
        assert len(reader.records) == 40
        assert [reader.positions[str(dispatch.job_id)] for dispatch in large] == positions


async def test_positions_have_the_brokers_time_if_the_topic_is_configured_so(
    broker: Broker, job_type: str
) -> None:
    assert await broker.topics(job_type).create_missing()
    await broker.configure(job_type, {"message.timestamp.type": "LogAppendTime"})
    dispatches = some(job_type, 10)
    async with broker.publisher(job_type) as publisher, broker.reader(job_type) as reader:
        positions = await publisher.publish(dispatches)
        await reader.read_to_end()
        assert [reader.positions[str(dispatch.job_id)] for dispatch in dispatches] == positions


async def test_an_empty_publish_does_nothing(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        assert await publisher.publish([]) == []


async def test_the_topic_is_made_by_the_first_publish(broker: Broker, job_type: str) -> None:
    assert await broker.partitions(job_type) == []
    async with broker.publisher(job_type) as publisher:
        await publish_until_written(publisher, some(job_type, 1))
    assert await broker.partitions(job_type) == list(range(PARTITIONS))


async def test_a_topic_that_was_deleted_is_made_again(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        await publish_until_written(publisher, some(job_type, 10))
        await broker.delete_topic(job_type)
        later = some(job_type, 10)
        await publish_until_written(publisher, later)
    async with broker.reader(job_type) as reader:
        await reader.read_to_end()
        assert set(reader.ids) == {str(dispatch.job_id) for dispatch in later}


@pytest.mark.slow
async def test_after_a_kill_of_kafka_every_job_is_written_and_missing_topics_are_made(
    servers: Stack, broker: Broker, job_type: str
) -> None:
    dispatches = some(job_type, 2000)
    missing = f"{job_type}-b"
    async with broker.publisher(job_type) as publisher:
        await publish_until_written(publisher, dispatches[:100])
        publishing = asyncio.create_task(_publish_in_batches(publisher, dispatches[100:]))
        await asyncio.to_thread(servers.kill, "kafka")
        creating = asyncio.create_task(broker.topics(missing, partitions=3).create_until_there())
        await asyncio.to_thread(servers.start, "kafka")
        await asyncio.gather(publishing, creating)
    assert await broker.partitions_when_made(missing) == [0, 1, 2]
    async with broker.reader(job_type) as reader:
        await reader.read_until(lambda: {str(d.job_id) for d in dispatches} <= set(reader.ids))


async def _publish_in_batches(publisher: KafkaPublisher, dispatches: Sequence[Dispatch]) -> None:
    for start in range(0, len(dispatches), 50):
        await publish_until_written(publisher, dispatches[start : start + 50])


async def test_a_frozen_kafka_fails_a_publish_in_bounded_time_and_the_next_one_after_it_works(
    servers: Stack, broker: Broker, job_type: str
) -> None:
    async with broker.publisher(job_type) as publisher, broker.offsets() as offsets:
        await publish_until_written(publisher, some(job_type, 1))
        servers.freeze("kafka")
        try:
            async with asyncio.timeout(DEADLINE):
                assert await publisher.publish(some(job_type, 5)) == [None] * 5
                assert await offsets.partition_states(job_type, [0]) is None
        finally:
            servers.thaw("kafka")
        await publish_until_written(publisher, some(job_type, 5))


async def test_a_frozen_kafka_blocks_no_offer(servers: Stack, broker: Broker, job_type: str) -> None:
    store = FakeDueStore()
    async with broker.publisher(job_type) as publisher:
        await publish_until_written(publisher, some(job_type, 1))
        dispatcher = QueuedDispatcher(publisher, store, FixedClock(), max_jobs=50)
        await dispatcher.start()
        servers.freeze("kafka")
        try:
            for dispatch in some(job_type, 80):
                dispatcher.offer(dispatch, NOW + DISPATCH_GRACE)
            assert dispatcher.dropped == 30
            await dispatcher.stop(grace=0.1)
        finally:
            servers.thaw("kafka")
    assert store.marked == []


async def test_without_kafka_nothing_raises_and_the_outage_is_logged_once(job_type: str) -> None:
    nowhere = Broker(["127.0.0.1:1"])
    async with nowhere.publisher(job_type) as publisher, nowhere.offsets() as offsets:
        with capture_logs() as logs:
            for _ in range(5):
                assert await publisher.publish(some(job_type, 2)) == [None, None]
            assert await offsets.partition_states(job_type, [0]) is None
            assert not await nowhere.topics(job_type).create_missing()
    assert [entry["what"] for entry in logs] == ["kafka", "kafka_offsets", "kafka_topics"]


async def test_a_topic_that_exists_is_left_as_it_is(broker: Broker, job_type: str) -> None:
    assert await broker.topics(job_type, partitions=2).create_missing()
    assert await broker.partitions_when_made(job_type) == [0, 1]
    assert await broker.topics(job_type, partitions=5).create_missing()
    assert await broker.partitions(job_type) == [0, 1]


async def test_a_topic_that_kafka_refuses_is_logged_with_its_name(broker: Broker, job_type: str) -> None:
    topics = broker.topics(job_type)
    topics._replication_factor = 3
    with capture_logs() as logs:
        assert not await topics.create_missing()
    assert topic_of(job_type) in logs[0]["reason"]
    assert "replication factor" in logs[0]["reason"].lower()


@pytest.mark.parametrize("count", [1, 7])
async def test_publishing_wakes_a_reader_that_waits(broker: Broker, job_type: str, count: int) -> None:
    assert await broker.topics(job_type).create_missing()
    async with broker.publisher(job_type) as publisher, broker.reader(job_type) as reader:
        reading = asyncio.create_task(reader.read_until(lambda: len(reader.records) == count))
        await publish_until_written(publisher, some(job_type, count))
        await reading
