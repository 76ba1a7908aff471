"""The topics `jobs.<type>`: created where they are missing."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from contract_runtime.topics import topic_of
from service_runtime.outage import Outage

log = structlog.get_logger()

UNREACHABLE = (KafkaError, OSError, TimeoutError)
"""What aiokafka raises when a broker is unavailable, does not answer or refuses."""
RETRY_AFTER = 1.0
LOOK_EVERY = 0.2
"""Seconds between two looks for new types. A look costs no call."""


def copies_by_topic(described: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The number of copies of each topic that exists: of its partition with the fewest copies."""
    return {
        topic["topic"]: min(len(partition["replicas"]) for partition in topic["partitions"])
        for topic in described
        if not topic["error_code"] and topic["partitions"]
    }


def thin_topics(copies: Mapping[str, int], brokers: int, replication_factor: int) -> dict[str, int]:
    """Topics with fewer copies than the setting says, or with one copy although there are more brokers."""
    return {
        topic: count
        for topic, count in sorted(copies.items())
        if count < replication_factor or count == 1 < brokers
    }


class KafkaTopics:
    """Creates the topics of `types`, which may grow. Existing topics keep their partitions and copies."""

    def __init__(
        self,
        bootstrap_servers: Sequence[str],
        types: Collection[str],
        partitions: int,
        replication_factor: int,
        min_insync_replicas: int | None = None,
        time_limit: float = 5.0,
    ) -> None:
        """`min_insync_replicas`: None leaves it to the broker. `time_limit`: seconds for one attempt."""
        self._servers = list(bootstrap_servers)
        self._types = types
        self._partitions = partitions
        self._replication_factor = replication_factor
        self._min_insync_replicas = min_insync_replicas
        self._warned = False
        self._time_limit = time_limit
        self._outage = Outage("kafka_topics")

    async def create_as_needed(self) -> None:
        """Create the topics of all types, and those of new types soon, until cancelled.

        Runs beside the server, which starts without Kafka too.
        """
        created: frozenset[str] = frozenset()
        while True:
            types = frozenset(self._types)
            if types - created:
                await self.create_until_there()
                created = types
            await asyncio.sleep(LOOK_EVERY)

    async def create_until_there(self) -> None:
        """Try until all topics exist."""
        while True:
            if await self.create_missing():
                return
            await asyncio.sleep(RETRY_AFTER)

    async def create_missing(self) -> bool:
        """Create missing topics. Returns whether all exist now. Never raises because of the broker."""
        try:
            async with asyncio.timeout(self._time_limit):
                await self._create_missing()
        except UNREACHABLE as error:
            self._outage.failed(repr(error))
            return False
        self._outage.succeeded()
        return True

    async def _create_missing(self) -> None:
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self._servers, request_timeout_ms=round(self._time_limit * 1000)
        )
        try:
            await admin.start()
            described = await admin.describe_topics([topic_of(each) for each in self._types])
            missing = [topic["topic"] for topic in described if topic["error_code"]]
            if missing:
                await self._create(admin, missing)
            if not self._warned:
                copies = dict.fromkeys(missing, self._replication_factor) | copies_by_topic(described)
                self._warn(copies, len((await admin.describe_cluster())["brokers"]))
        finally:
            await admin.close()

    async def _create(self, admin: AIOKafkaAdminClient, missing: Sequence[str]) -> None:
        minimum = self._min_insync_replicas
        settings = {} if minimum is None else {"min.insync.replicas": str(minimum)}
        answer = await admin.create_topics(
            [
                NewTopic(topic, self._partitions, self._replication_factor, topic_configs=settings)
                for topic in missing
            ]
        )
        for topic, code, *message in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(
                    f"topic {topic} cannot be created: {message[0] if message else error.description}"
                )
        log.info("topics_created", topics=list(missing), partitions=self._partitions)

    def _warn(self, copies: Mapping[str, int], brokers: int) -> None:
        """Warns once, because this server never changes a topic's copies."""
        self._warned = True
        if thin := thin_topics(copies, brokers, self._replication_factor):
            log.warning(
                "topics_have_few_copies",
                copies=thin,
                brokers=brokers,
                problem="while a broker is unavailable, jobs of these types may not be dispatched",
                remedy="set KAFKA_REPLICATION_FACTOR before topics are created; "
                "add copies to existing topics with Kafka's tools",
            )
