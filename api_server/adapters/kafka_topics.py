"""The topics `jobs.<type>`: created where they are missing."""

import asyncio
from collections.abc import Sequence

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from api_server.outage import Outage

log = structlog.get_logger()

UNREACHABLE = (KafkaError, OSError, TimeoutError)
"""What aiokafka raises when a broker is away, silent or unwilling."""
RETRY_AFTER = 1.0


def topic_of(job_type: str) -> str:
    """The topic for jobs of a type."""
    return f"jobs.{job_type}"


class KafkaTopics:
    """Creates the topics of `types`. Those that exist are left as they are, however many partitions they have."""

    def __init__(
        self,
        bootstrap_servers: Sequence[str],
        types: Sequence[str],
        partitions: int,
        replication_factor: int,
        time_limit: float = 5.0,
    ) -> None:
        """`time_limit`: seconds for one attempt."""
        self._servers = list(bootstrap_servers)
        self._topics = [topic_of(job_type) for job_type in types]
        self._partitions = partitions
        self._replication_factor = replication_factor
        self._time_limit = time_limit
        self._outage = Outage("kafka_topics")

    async def create_until_there(self) -> None:
        """Try until all topics exist, for a task beside the server: it starts without Kafka too."""
        while True:
            if await self.create_missing():
                return
            await asyncio.sleep(RETRY_AFTER)

    async def create_missing(self) -> bool:
        """Create what is missing; whether all topics exist now. Never raises for the broker's sake."""
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
            described = await admin.describe_topics(self._topics)
            missing = [topic["topic"] for topic in described if topic["error_code"]]
            if missing:
                await self._create(admin, missing)
        finally:
            await admin.close()

    async def _create(self, admin: AIOKafkaAdminClient, missing: Sequence[str]) -> None:
        answer = await admin.create_topics(
            [NewTopic(topic, self._partitions, self._replication_factor) for topic in missing]
        )
        for topic, code, *message in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                raise error(
                    f"topic {topic} cannot be created: {message[0] if message else error.description}"
                )
        log.info("topics_created", topics=list(missing), partitions=self._partitions)
