"""How much a group has still before it, as a real Kafka tells it."""

import asyncio
from collections.abc import Callable

from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.structs import OffsetAndMetadata

from api_server.adapters.kafka_publisher import KafkaPublisher
from api_server.adapters.kafka_topics import topic_of
from tests.integration.kafka.broker import DEADLINE, GROUP, PARTITIONS, Broker
from tests.unit.dispatch_fakes import make_dispatch


async def lag_until(publisher: KafkaPublisher, job_type: str, wanted: Callable[[int], bool]) -> int:
    """The lag as soon as it is as `wanted`; a broker that just started needs a moment to tell it."""
    async with asyncio.timeout(DEADLINE):
        while True:
            lags = await publisher.waiting()
            if lags is not None and wanted(lags[job_type]):
                return lags[job_type]
            await asyncio.sleep(0.05)


async def publish(publisher: KafkaPublisher, job_type: str, count: int) -> None:
    assert all(await publisher.publish([make_dispatch(job_type=job_type) for _ in range(count)]))


async def test_a_type_without_a_topic_has_nothing_waiting(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        assert await lag_until(publisher, job_type, lambda _: True) == 0


async def test_a_group_that_never_committed_has_the_whole_topic_before_it(
    broker: Broker, job_type: str
) -> None:
    async with broker.publisher(job_type) as publisher:
        await publish(publisher, job_type, 10)
        assert await lag_until(publisher, job_type, lambda _: True) == 10


async def test_committed_records_do_not_wait_any_more(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        await publish(publisher, job_type, PARTITIONS * 5)
        async with broker.reader(job_type, GROUP) as reader:
            commits = {
                TopicPartition(topic_of(job_type), p): OffsetAndMetadata(3, "") for p in range(PARTITIONS)
            }
            await reader.consumer.commit(commits)
        assert await lag_until(publisher, job_type, lambda _: True) == PARTITIONS * 2


async def test_records_that_retention_removed_do_not_wait_any_more(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        await publish(publisher, job_type, PARTITIONS * 5)
        async with broker.admin() as admin:
            await admin.delete_records(
                {TopicPartition(topic_of(job_type), p): RecordsToDelete(4) for p in range(PARTITIONS)}
            )
        assert await lag_until(publisher, job_type, lambda _: True) == PARTITIONS


async def test_a_topic_made_again_has_only_its_own_records_waiting(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        await publish(publisher, job_type, PARTITIONS * 5)
        async with broker.reader(job_type, GROUP) as reader:
            await reader.read_to_end()
            await reader.consumer.commit()
        await broker.delete_topic(job_type)
        assert await lag_until(publisher, job_type, lambda lag: lag == 0) == 0
        assert await broker.topics(job_type).create_missing()
        assert await lag_until(publisher, job_type, lambda lag: lag == 0) == 0
