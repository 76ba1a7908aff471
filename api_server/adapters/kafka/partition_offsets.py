"""How far a consumer group has read each partition of a topic, and which records the partition has."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupLoadInProgressError, UnknownTopicOrPartitionError, for_code

from api_server.adapters.kafka.detached_tasks import DetachedTasks, result_of
from api_server.adapters.kafka.topics import UNREACHABLE
from api_server.domain.record_positions import PartitionState
from contract_runtime.topics import topic_of
from service_runtime.outage import Outage

NOTHING_COMMITTED = -1
RETRY_AFTER = 1.0
"""Seconds without a request after a failure. Otherwise each topic in turn would wait for its time limit."""


class PartitionOffsets:
    """See api_server.recovery.ports.TopicReader. Each call takes four requests, however many partitions."""

    def __init__(self, bootstrap_servers: Sequence[str], group: str, time_limit: float = 3.0) -> None:
        """`time_limit`: seconds for one answer."""
        self._servers = list(bootstrap_servers)
        self._group = group
        self._time_limit = time_limit
        self._admin: AIOKafkaAdminClient | None = None
        self._reader: AIOKafkaConsumer | None = None
        # The outage is logged when a request fails. Dropped connections need no log line.
        self._tasks = DetachedTasks(on_error=lambda _error: None)
        self._retry_at = 0.0
        self._outage = Outage("kafka_offsets")

    async def partition_states(
        self, job_type: str, partitions: Collection[int]
    ) -> Mapping[int, PartitionState] | None:
        """See TopicReader."""
        if asyncio.get_running_loop().time() < self._retry_at:
            return None
        try:
            states = await self._answer(topic_of(job_type), partitions)
        except UNREACHABLE as error:
            self._retry_at = asyncio.get_running_loop().time() + RETRY_AFTER
            self._outage.failed(repr(error))
            self._abandon()
            return None
        self._outage.succeeded()
        return states

    async def close(self) -> None:
        """Close the connections. `partition_states` opens new ones."""
        self._abandon()
        await self._tasks.wait(self._time_limit)

    async def _answer(self, topic: str, partitions: Collection[int]) -> dict[int, PartitionState]:
        """Takes twice the time limit at most. Raises one of UNREACHABLE."""
        reading = self._tasks.start(self._read(topic, partitions))
        try:
            return await result_of(reading, self._time_limit)
        finally:
            if reading.cancel():
                # If aiokafka takes the cancellation, no half-opened connection is left.
                await asyncio.wait([reading], timeout=self._time_limit)

    def _abandon(self) -> None:
        """Close the connections in the background."""
        admin, reader = self._admin, self._reader
        self._admin = self._reader = None
        if reader is not None:
            self._tasks.start(reader.stop())
        if admin is not None:
            self._tasks.start(admin.close())

    async def _read(self, topic: str, partitions: Collection[int]) -> dict[int, PartitionState]:
        return await self._ask(topic, partitions, *await self._connected())

    async def _connected(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        if self._admin is None or self._reader is None:
            common = {
                "bootstrap_servers": self._servers,
                "request_timeout_ms": round(self._time_limit * 1000),
            }
            self._admin = AIOKafkaAdminClient(**common)
            await self._admin.start()
            # Only a consumer can ask for a partition's first and last offsets. It reads no records and joins
            # no group.
            self._reader = AIOKafkaConsumer(**common, enable_auto_commit=False)
            await self._reader.start()
        return self._admin, self._reader

    async def _ask(
        self, topic: str, partitions: Collection[int], admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer
    ) -> dict[int, PartitionState]:
        (described,) = await admin.describe_topics([topic])
        if described["error_code"] not in (0, UnknownTopicOrPartitionError.errno):
            raise for_code(described["error_code"])(f"topic {topic} cannot be described")
        there = {partition["partition"] for partition in described["partitions"]}
        asked = [TopicPartition(topic, partition) for partition in there.intersection(partitions)]
        if not asked:
            return {}
        # The commits are read first. A record committed after that counts as waiting, so its job is not
        # published twice.
        commits = await admin.list_consumer_group_offsets(self._group, partitions=asked)
        if missing := set(asked).difference(commits):
            # A coordinator that is still loading leaves partitions out. aiokafka does not check its error
            # code.
            raise GroupLoadInProgressError(f"the commits of {len(missing)} partitions are unknown")
        # No record is older than time 0, so this finds each partition's first record, with its time.
        firsts = await reader.offsets_for_times(dict.fromkeys(asked, 0))
        ends = await reader.end_offsets(asked)
        states = {}
        for each in asked:
            commit, first, end = commits[each], firsts[each], ends[each]
            states[each.partition] = PartitionState(
                committed=None if commit.offset == NOTHING_COMMITTED else commit.offset,
                start=end if first is None else first.offset,
                end=end,
                first_time=None if first is None else first.timestamp,
            )
        return states
