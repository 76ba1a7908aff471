"""The Kafka consumer: polls records, is a member of the group, stores offsets."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from worker_service.api.backoff import Backoff
from worker_service.kafka.closing import close_consumer
from worker_service.kafka.committer import CommitFailed, Committer, PartitionsLost
from worker_service.kafka.group_members import remove_members
from worker_service.kafka.offsets import Partition
from worker_service.kafka.ports import OffsetStore, RecordSink
from worker_service.kafka.uncompressed import skip_compressed_batches

log = structlog.get_logger()

POLL_MS = 200
POLL_WHILE_PAUSED_MS = 20
"""Short, because a poll under way does not notice that a partition has been resumed."""
MAX_RECORDS = 500
COMMIT_SECONDS = 2.0
LOOK_EVERY_SECONDS = 0.2
"""How often to check whether polling reaches the broker. Asking aiokafka about each partition takes a while.
"""
PROBE_EVERY_SECONDS = 3.0
PROBE_SECONDS = 5.0
PAUSE_AFTER_ERROR_SECONDS = 1.0
OPTIONS = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    # The least that brokers allow by default. After this time the partitions of a killed worker go to others.
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 1_000,
    # Longer than the revoke callback takes.
    "rebalance_timeout_ms": 10_000,
    # Joining the group may take as long as the rebalance.
    "request_timeout_ms": 15_000,
    "fetch_max_bytes": 8 * 1024 * 1024,
    # The consumer notices new partitions, and a topic that was deleted and created again, within this time.
    "metadata_max_age_ms": 5_000,
}


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """`client_id` is the worker's name: by it, a successor finds the members that this worker has left
    behind.

    `fetch_max_wait`: seconds. A resumed partition joins the next fetch, which starts when the fetch under way
    ends.
    """

    bootstrap_servers: Sequence[str]
    group_id: str
    client_id: str
    fetch_max_wait: float = 0.1


class JobConsumer(OffsetStore):
    """Start it, then run `poll` and `keep_pauses` until it is closed or has left.

    Then it may be started again.
    """

    def __init__(
        self,
        address: KafkaAddress,
        topics: Collection[str],
        sink: RecordSink,
        committer: Committer,
        pause_wake: asyncio.Event,
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pause_wake` is set when `sink.wants` may have changed."""
        self._address = address
        self._topics = set(topics)
        self._subscribed = self._topics
        self._sink = sink
        self._committer = committer
        self._tracker = committer.tracker
        self._pause_wake = pause_wake
        self._backoff = backoff
        self._clock = clock
        self._consumer: AIOKafkaConsumer | None = None
        self.may_be_missing: AbstractSet[str] = frozenset()
        """Topics that nobody creates: `start` does without those that do not exist."""
        self._some_are_paused = False
        self._last_look = 0.0
        self._last_fetch: int | None = None
        self._last_probe = 0.0
        self.contacts = 0
        """How often polling was seen to reach the broker."""

    async def start(self) -> None:
        """Join the group in place of this worker's predecessors.

        Try until Kafka answers and has the topics, apart from those that may be missing. A worker without
        any topic waits for them, too.
        """
        skip_compressed_batches()
        while True:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=list(self._address.bootstrap_servers),
                group_id=self._address.group_id,
                client_id=self._address.client_id,
                fetch_max_wait_ms=round(self._address.fetch_max_wait * 1000),
                **OPTIONS,
            )
            try:
                if topics := await self._existing_topics(consumer):
                    address = self._address
                    await remove_members(address.bootstrap_servers, address.group_id, address.client_id)
                    self._subscribed = topics
                    consumer.subscribe(topics=topics, listener=_Listener(self))
                    self._consumer = consumer
                    self._backoff.reset()
                    log.info("consuming", topics=sorted(topics), group=self._address.group_id)
                    return
            finally:
                if self._consumer is None:
                    await close_consumer(consumer)
            await asyncio.sleep(self._backoff.next())

    async def _existing_topics(self, consumer: AIOKafkaConsumer) -> set[str]:
        """The topics to consume; none while the consumer has to wait."""
        try:
            await consumer.start()
            missing = self._topics - await consumer.topics()
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("kafka_unreachable", problem=str(error))
            return set()
        if missing:
            log.warning("topics_missing", topics=sorted(missing))
        return self._topics - missing if missing <= self.may_be_missing else set()

    async def poll(self) -> None:
        """Poll until cancelled.

        An error is logged, and polling goes on; if that does not help, the watchdog ends the process.
        """
        consumer = self._started()
        while True:
            try:
                # Awaited directly, so that no rebalance happens between aiokafka's check and ours.
                batches = await consumer.getmany(
                    timeout_ms=POLL_WHILE_PAUSED_MS if self._some_are_paused else POLL_MS,
                    max_records=MAX_RECORDS,
                )
            except KafkaError as error:
                log.warning("poll_failed", problem=repr(error))
                await asyncio.sleep(PAUSE_AFTER_ERROR_SECONDS)
                continue
            for topic_partition, records in batches.items():
                partition = Partition(*topic_partition)
                for record in records:
                    self._sink.accept(partition, record.offset, record.value)
            await self._note_contact(consumer)
            # getmany does not yield to other tasks while it has records in memory.
            await asyncio.sleep(0)

    async def keep_pauses(self) -> None:
        """Pause and resume partitions by what the sink wants, until cancelled."""
        while True:
            await self._pause_wake.wait()
            self._pause_wake.clear()
            self._apply_pauses()

    def assignment(self) -> frozenset[Partition]:
        """The partitions that this process consumes now."""
        if self._consumer is None:
            return frozenset()
        return frozenset(Partition(*partition) for partition in self._consumer.assignment())

    async def commit(self, offsets: Mapping[Partition, int]) -> None:
        """Store the next offset to read of each partition. Raises PartitionsLost, CommitFailed."""
        try:
            # Without Kafka, aiokafka's call never ends after its consumer was closed.
            async with asyncio.timeout(COMMIT_SECONDS):
                await self._started().commit(
                    {TopicPartition(*partition): offset for partition, offset in offsets.items()}
                )
        except (CommitFailedError, IllegalStateError) as error:
            raise PartitionsLost(str(error)) from error
        except KafkaError as error:
            raise CommitFailed(str(error)) from error
        except TimeoutError:
            raise CommitFailed(f"no answer within {COMMIT_SECONDS:g} s") from None

    async def leave(self) -> None:
        """Leave the group in order.

        Then other workers get the partitions and all records that are not claimed yet.
        """
        await self.revoked(self.assignment())
        await self.close()

    async def close(self) -> None:
        """Leave the group and close the connections. Does nothing if it was never started."""
        if self._consumer is None:
            return
        consumer, self._consumer = self._consumer, None
        await close_consumer(consumer)

    async def revoked(self, partitions: AbstractSet[Partition]) -> None:
        """Before a rebalance: forget all records that are not claimed.

        Jobs in flight go on, protected by their leases.
        """
        await self._sink.revoked(partitions)
        await self._committer.flush(self, COMMIT_SECONDS)
        for partition in partitions:
            self._tracker.revoke(partition)

    def assigned(self, partitions: AbstractSet[Partition]) -> None:
        """After a rebalance. aiokafka has forgotten the pauses.

        This must not wait: the first records come soon.
        """
        for partition in partitions:
            self._tracker.assign(partition)
        self._apply_pauses()
        log.info("partitions_assigned", partitions=len(partitions))

    def _apply_pauses(self) -> None:
        if self._consumer is None:
            return
        assigned, paused = self._consumer.assignment(), self._consumer.paused()
        unwanted = {partition for partition in assigned if not self._sink.wants(partition.topic)}
        self._consumer.pause(*(unwanted - paused))
        self._consumer.resume(*(paused - unwanted))
        self._some_are_paused = bool(unwanted)

    async def _note_contact(self, consumer: AIOKafkaConsumer) -> None:
        """Count a contact when a fetch was answered.

        While all partitions are paused there is no fetch, so ask the group's coordinator. The latest fetch of
        any partition counts: one partition without a leader must not end a worker.
        """
        now = self._clock()
        if now - self._last_look < LOOK_EVERY_SECONDS:
            return
        self._last_look = now
        assigned = consumer.assignment()
        fetches = [stamp for partition in assigned if (stamp := consumer.last_poll_timestamp(partition))]
        if fetches and max(fetches) != self._last_fetch:
            self._last_fetch = max(fetches)
            self.contacts += 1
        elif assigned <= consumer.paused() and now - self._last_probe >= PROBE_EVERY_SECONDS:
            await self._probe(consumer)

    async def _probe(self, consumer: AIOKafkaConsumer) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await consumer.committed(TopicPartition(min(self._subscribed), 0))
        except (KafkaError, TimeoutError) as error:
            log.warning("coordinator_unreachable", problem=repr(error))
        else:
            self.contacts += 1
        self._last_probe = self._clock()

    def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("the consumer has not been started")
        return self._consumer


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # - aiokafka has no types
    """aiokafka would log what these methods raise as its own and go on, so they log it themselves."""

    def __init__(self, consumer: JobConsumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        try:
            await self._consumer.revoked({Partition(*partition) for partition in revoked})
        except Exception:
            log.exception("revoke_failed")

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        try:
            self._consumer.assigned({Partition(*partition) for partition in assigned})
        except Exception:
            log.exception("assign_failed")
