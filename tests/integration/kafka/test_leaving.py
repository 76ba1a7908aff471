"""A worker that leaves the group while Kafka is away, and joins it again later, commits offsets as before."""

import asyncio
from collections.abc import Callable
from collections.abc import Set as AbstractSet

import pytest

from contract_runtime.topics import topic_of
from local_stack.stack import Stack
from tests.integration.kafka.broker import Broker
from tests.integration.kafka.test_group_members import make_topic
from tests.integration.kafka.test_kafka_publisher import publish_until_written, some
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.kafka.committer import Committer
from worker_service.kafka.consumer import JobConsumer, KafkaAddress
from worker_service.kafka.offsets import OffsetTracker, Partition, Ticket

pytestmark = pytest.mark.slow

SOON = 10.0


class RecordSink:
    """Keeps the polled records until `finish`."""

    def __init__(self, tracker: OffsetTracker, finish: Callable[[Ticket], None]) -> None:
        self._tracker = tracker
        self._finish = finish
        self.tickets: list[Ticket] = []

    def wants(self, topic: str) -> bool:
        return bool(topic)

    def accept(self, partition: Partition, offset: int, _value: bytes | None) -> None:
        if (ticket := self._tracker.begin(partition, offset)) is not None:
            self.tickets.append(ticket)

    async def revoked(self, _partitions: AbstractSet[Partition]) -> None:
        self.tickets.clear()

    def finish(self) -> None:
        for ticket in self.tickets:
            self._finish(ticket)


async def test_a_commit_interrupted_by_leaving_does_not_block_later_commits(
    servers: Stack, broker: Broker, job_type: str
) -> None:
    # Longer than other tests: the outage needs both lives of the consumer, from its first poll on.
    await make_topic(broker, job_type)
    async with broker.publisher(job_type) as publisher:
        await publish_until_written(publisher, some(job_type, 8))
    tracker = OffsetTracker()
    committer = Committer(tracker, Backoff())
    feed = RecordSink(tracker, committer.finish)
    consumer = JobConsumer(
        KafkaAddress(broker.servers, job_type, "name"),
        [topic_of(job_type)],
        feed,
        committer,
        asyncio.Event(),
        Backoff(),
    )
    committing = asyncio.create_task(committer.run(consumer))
    await consumer.start()
    polling = asyncio.create_task(consumer.poll())
    await until(lambda: len(feed.tickets) == 8)

    servers.freeze("kafka")
    feed.finish()
    await until(committer._lock.locked)
    # The commit is under way and will get no answer.
    servers.kill("kafka")
    left = consumer._started()._client
    try:
        polling.cancel()
        await asyncio.wait([polling])
        await consumer.leave()
    finally:
        servers.start("kafka")

    await consumer.start()
    polling = asyncio.create_task(consumer.poll())
    try:
        await until(lambda: len(feed.tickets) == 8)
        feed.finish()
        await until(lambda: not tracker.due(), "all is committed", SOON)
        assert not committing.done()
        # The consumer that left does not connect again.
        assert left._sync_task is None
        assert not any(connection.connected() for connection in left._conns.values())
    finally:
        for task in (polling, committing):
            task.cancel()
        await asyncio.wait([polling, committing])
        await consumer.close()
