"""How many records of each topic a consumer group has still before it."""

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from api_server.adapters.kafka_topics import UNREACHABLE, topic_of
from api_server.outage import Outage

NOTHING_COMMITTED = -1


def lag(committed: int, log_start: int, end: int) -> int:
    """Records of a partition that exist and are not committed; offsets as Kafka gives them.

    Records below the log's start are gone. A commit beyond the end is of a topic that was deleted and made again.
    """
    return max(0, end - max(committed, log_start))


class KafkaLag:
    """Asks for the lag of `group`. A group that never committed has the whole topic before it; a topic that does not
    exist has no records.
    """

    def __init__(
        self,
        bootstrap_servers: Sequence[str],
        types: Sequence[str],
        group: str,
        time_limit: float = 3.0,
    ) -> None:
        """`time_limit`: seconds for one answer."""
        self._servers = list(bootstrap_servers)
        self._group = group
        self._topics = {topic_of(job_type): job_type for job_type in types}
        self._time_limit = time_limit
        self._admin: AIOKafkaAdminClient | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._outage = Outage("kafka_lag")

    async def waiting(self) -> Mapping[str, int] | None:
        """Records not committed yet, by job type; None: the broker does not say."""
        try:
            async with asyncio.timeout(self._time_limit):
                by_type = await self._ask(*await self._connected())
        except UNREACHABLE as error:
            self._outage.failed(repr(error))
            await self.close()
            return None
        self._outage.succeeded()
        return by_type

    async def close(self) -> None:
        """Let go of the connections; `waiting` makes new ones."""
        admin, reader = self._admin, self._reader
        self._admin = self._reader = None
        if reader is not None:
            await reader.stop()
        if admin is not None:
            await admin.close()

    async def _connected(self) -> tuple[AIOKafkaAdminClient, AIOKafkaConsumer]:
        if self._admin is None or self._reader is None:
            common = {
                "bootstrap_servers": self._servers,
                "request_timeout_ms": round(self._time_limit * 1000),
            }
            self._admin = AIOKafkaAdminClient(**common)
            await self._admin.start()
            # It reads no records and belongs to no group: only a consumer can ask for a log's start and end.
            self._reader = AIOKafkaConsumer(**common, enable_auto_commit=False)
            await self._reader.start()
        return self._admin, self._reader

    async def _ask(self, admin: AIOKafkaAdminClient, reader: AIOKafkaConsumer) -> dict[str, int]:
        partitions = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics(list(self._topics))
            for partition in topic["partitions"]
        ]
        by_type = dict.fromkeys(self._topics.values(), 0)
        if not partitions:
            return by_type
        # The commits are read first: records that come in between count as waiting, the safe side.
        commits = await admin.list_consumer_group_offsets(self._group, partitions=partitions)
        starts = await reader.beginning_offsets(partitions)
        ends = await reader.end_offsets(partitions)
        for partition in partitions:
            commit = commits.get(partition)
            committed = NOTHING_COMMITTED if commit is None else commit.offset
            by_type[self._topics[partition.topic]] += lag(committed, starts[partition], ends[partition])
        return by_type
