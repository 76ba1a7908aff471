"""A real Kafka as tests see it: our adapters for it, and plain clients to check them with."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata

from api_server.adapters.kafka.partition_offsets import PartitionOffsets
from api_server.adapters.kafka.publisher import KafkaPublisher
from api_server.adapters.kafka.topics import KafkaTopics
from api_server.domain.record_positions import RecordPosition
from contract_runtime.topics import topic_of
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from tests.waiting import until

GROUP = "job-workers"
PARTITIONS = 4
DEADLINE = 90.0


class SystemClock:
    """The time of this machine, in place of a database's."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class Broker:
    servers: Sequence[str]

    def topics(self, job_type: str, partitions: int = PARTITIONS) -> KafkaTopics:
        return KafkaTopics(self.servers, [job_type], partitions, replication_factor=1, time_limit=2.0)

    @asynccontextmanager
    async def publisher(self, job_type: str) -> AsyncIterator[KafkaPublisher]:
        publisher = KafkaPublisher(self.servers, self.topics(job_type), SystemClock(), time_limit=2.0)
        try:
            yield publisher
        finally:
            await publisher.close()

    @asynccontextmanager
    async def offsets(self) -> AsyncIterator[PartitionOffsets]:
        """Reads the offsets of the workers' group."""
        offsets = PartitionOffsets(self.servers, GROUP, time_limit=2.0)
        try:
            yield offsets
        finally:
            await offsets.close()

    @asynccontextmanager
    async def adapters(self, job_type: str) -> AsyncIterator["Adapters"]:
        async with self.publisher(job_type) as publisher, self.offsets() as offsets:
            yield Adapters(publisher, offsets)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=list(self.servers), request_timeout_ms=5000)
        await admin.start()
        yield admin
        await admin.close()

    async def partitions(self, job_type: str) -> list[int]:
        """The partitions of the type's topic; none if there is no topic."""
        async with self.admin() as admin:
            (described,) = await admin.describe_topics([topic_of(job_type)])
            return sorted(partition["partition"] for partition in described["partitions"])

    async def partitions_when_made(self, job_type: str) -> list[int]:
        """The partitions of a new topic. The broker learns of it from the controller a moment later."""
        found: list[int] = await until(lambda: self.partitions(job_type), "the topic is there")
        return found

    async def delete_topic(self, job_type: str) -> None:
        """Returns when the topic is gone."""
        async with self.admin() as admin:
            await admin.delete_topics([topic_of(job_type)])

        async def is_gone() -> bool:
            return not await self.partitions(job_type)

        await until(is_gone, "the topic is gone")

    async def delete_records(self, job_type: str, offsets: Mapping[int, int]) -> None:
        """Delete the records before these offsets, as retention does."""
        async with self.admin() as admin:
            await admin.delete_records(
                {
                    TopicPartition(topic_of(job_type), partition): RecordsToDelete(offset)
                    for partition, offset in offsets.items()
                }
            )

    async def configure(self, job_type: str, settings: Mapping[str, str]) -> None:
        """Change settings of the type's topic."""
        topic = ConfigResource(ConfigResourceType.TOPIC, topic_of(job_type), dict(settings))
        async with self.admin() as admin:
            await admin.alter_configs([topic])

    async def commit(self, job_type: str, offsets: Mapping[int, int], group: str = GROUP) -> None:
        """Commit as a worker does when it has finished the records before these offsets."""
        async with self.reader(job_type, group) as reader:
            await reader.commit(job_type, offsets)

    @asynccontextmanager
    async def reader(self, job_type: str, group: str | None = None) -> AsyncIterator["Reader"]:
        """Reads the type's topic from its start. With a `group`, offsets can be committed."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=list(self.servers),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            partitions = await self.partitions_when_made(job_type)
            consumer.assign([TopicPartition(topic_of(job_type), partition) for partition in partitions])
            yield Reader(consumer)
        finally:
            await consumer.stop()


@dataclass(frozen=True)
class Adapters:
    """What the due loop needs of Kafka."""

    publisher: KafkaPublisher
    offsets: PartitionOffsets


class Reader:
    """The records read until now, in the order of reading."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.consumer = consumer
        self.records: list[DispatchRecord] = []
        self.positions: dict[str, RecordPosition] = {}
        """For each job, the position of its latest record."""

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.records]

    @property
    def partitions(self) -> set[int]:
        return {position.partition for position in self.positions.values()}

    async def commit(self, job_type: str, offsets: Mapping[int, int], note: str = "") -> None:
        await self.consumer.commit(
            {
                TopicPartition(topic_of(job_type), partition): OffsetAndMetadata(offset, note)
                for partition, offset in offsets.items()
            }
        )

    async def read_until(self, enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not enough():
                for partition, records in (await self.consumer.getmany(timeout_ms=200)).items():
                    for record in records:
                        self.records.append(DispatchRecord.FromString(record.value))
                        position = RecordPosition(partition.partition, record.offset, record.timestamp)
                        self.positions[self.records[-1].id] = position

    async def read_to_end(self) -> None:
        """Read all records that are in the topic now."""
        ends = await self.consumer.end_offsets(list(self.consumer.assignment()))
        starts = await self.consumer.beginning_offsets(list(self.consumer.assignment()))
        count = sum(ends.values()) - sum(starts.values())
        await self.read_until(lambda: len(self.records) >= count)
