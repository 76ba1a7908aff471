"""Writes dispatches to Kafka.

The producer is not idempotent on purpose. A record doubled by a retry is harmless, for the claim decides; but aiokafka's
idempotent producer keeps undelivered batches for ever and can wedge on a sequence number. This one gives up every batch
in bounded time. It is made when first needed, and made anew after a publish that did not get through, for a client can
hang after a broker's restart and a topic may have been deleted.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer

from api_server.adapters.kafka.detached_tasks import DetachedTasks, result_of
from api_server.adapters.kafka.dispatch_record import encode
from api_server.adapters.kafka.partition_offsets import PartitionOffsets
from api_server.adapters.kafka.partitioner import Partitioner
from api_server.adapters.kafka.topics import UNREACHABLE, KafkaTopics
from api_server.domain.job import Dispatch
from api_server.domain.record_positions import PartitionState, RecordPosition
from api_server.ports import Clock
from contract_runtime.topics import topic_of
from service_runtime.outage import Outage

log = structlog.get_logger()

MAX_BATCH_BYTES = 256 * 1024
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_TIME = -1
"""The broker's answer when records keep the times that they came with."""
RETRY_AFTER = 1.0
"""Seconds after a failure in which publishing fails at once, so that nobody waits for a broker known to be away."""


class KafkaPublisher:
    """A ports.Publisher. Jobs go to their topic's partitions in turn, see Shares.

    Records are put into batches here, one for each partition (3.7 µs a job; aiokafka's own gathering takes 12.6), so
    the producer lingers for no others.
    """

    def __init__(
        self,
        bootstrap_servers: Sequence[str],
        topics: KafkaTopics,
        logs: PartitionOffsets,
        clock: Clock,
        time_limit: float = 4.0,
    ) -> None:
        """`clock` gives records their times. `time_limit`: seconds for connecting, and again for writing."""
        self._servers = list(bootstrap_servers)
        self._topics = topics
        self._logs = logs
        self._clock = clock
        self._time_limit = time_limit
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self._retry_at = 0.0
        self._shares = Partitioner()
        self._tasks = DetachedTasks(
            on_error=lambda error: log.debug("kafka_write_given_up", reason=repr(error))
        )
        self._outage = Outage("kafka")

    async def publish(self, dispatches: Sequence[Dispatch]) -> list[RecordPosition | None]:
        """Write one record each; for each, where it lies once all in-sync replicas have it. Never raises for the
        broker's sake.
        """
        places: list[RecordPosition | None] = [None] * len(dispatches)
        producer = await self._connected()
        if producer is None:
            return places
        # Not cancelled when time is up: aiokafka would be left with failures that nobody looks at.
        write = self._tasks.start(self._write(producer, dispatches, places))
        try:
            await result_of(write, self._time_limit)
        except UNREACHABLE as error:
            self._failed(error)
            self._abandon(producer)
        else:
            self._outage.succeeded()
        return list(places)

    async def logs(self, job_type: str, partitions: Collection[int]) -> Mapping[int, PartitionState] | None:
        """Those partitions of the type's topic that exist; None: the broker does not say."""
        return await self._logs.read(job_type, partitions)

    async def close(self) -> None:
        """Let go of the connections."""
        if self._producer is not None:
            self._abandon(self._producer)
        await self._tasks.wait(self._time_limit)

    async def _connected(self) -> AIOKafkaProducer | None:
        async with self._connecting:
            if self._producer is None and asyncio.get_running_loop().time() >= self._retry_at:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> AIOKafkaProducer | None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=round(self._time_limit * 1000),
        )
        async with AsyncExitStack() as undo:
            undo.push_async_callback(producer.stop)
            try:
                async with asyncio.timeout(self._time_limit):
                    await producer.start()
            except UNREACHABLE as error:
                self._failed(error)
                return None
            await self._topics.create_missing()
            undo.pop_all()
        return producer

    def _failed(self, error: Exception) -> None:
        self._retry_at = asyncio.get_running_loop().time() + RETRY_AFTER
        self._outage.failed(repr(error))

    def _abandon(self, producer: AIOKafkaProducer) -> None:
        """Stop it in the background: it first waits for its batches, until each is written or given up."""
        if self._producer is not None and self._producer is producer:
            self._tasks.start(producer.stop())
            self._producer = None

    async def _write(
        self, producer: AIOKafkaProducer, dispatches: Sequence[Dispatch], places: list[RecordPosition | None]
    ) -> None:
        """Fill in `places`. Raises one of the errors if some are not written, after all have been tried."""
        by_type: defaultdict[str, list[int]] = defaultdict(list)
        for index, dispatch in enumerate(dispatches):
            by_type[dispatch.type].append(index)

        async def write_type(topic: str, indices: Sequence[int]) -> None:
            partitions = sorted(await producer.partitions_for(topic))
            await _all(
                write_share(topic, partition, share)
                for partition, share in self._shares.split(topic, partitions, indices)
            )

        async def write_share(topic: str, partition: int, share: Sequence[int]) -> None:
            records = [
                (index, value) for index in share if (value := _encoded(dispatches[index])) is not None
            ]
            time = (self._clock.now() - EPOCH) // timedelta(milliseconds=1)
            for batch, indices in _batches(producer, records, time):
                written = await (await producer.send_batch(batch, topic, partition=partition))
                # A topic may be set to take the broker's time for its records'.
                stored_time = time if written.timestamp == NO_TIME else written.timestamp
                for nth, index in enumerate(indices):
                    places[index] = RecordPosition(partition, written.offset + nth, stored_time)

        await _all(write_type(topic_of(job_type), indices) for job_type, indices in by_type.items())


def _encoded(dispatch: Dispatch) -> bytes | None:
    """The record, or None for a job that has none: it must not hold up the others."""
    try:
        return encode(dispatch)
    except Exception:
        log.exception("dispatch_not_encoded", job_id=str(dispatch.job_id), type=dispatch.type)
        return None


def _batches(
    producer: AIOKafkaProducer, records: Sequence[tuple[int, bytes]], time: int
) -> Iterator[tuple[Any, list[int]]]:
    """The records in closed aiokafka batches, and the indices of those in each."""
    batch, indices = producer.create_batch(), list[int]()
    for index, value in records:
        if batch.append(key=None, value=value, timestamp=time) is None:
            yield batch, indices
            batch, indices = producer.create_batch(), []
            batch.append(key=None, value=value, timestamp=time)  # the first one always fits
        indices.append(index)
    batch.close()
    yield batch, indices


async def _all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run them side by side to their ends; raises the first error."""
    for outcome in await asyncio.gather(*steps, return_exceptions=True):
        if outcome is not None:
            raise outcome
