"""A compressed batch of a few KB that inflates to 20 MB costs a worker's consumer no memory."""

import asyncio
import tracemalloc

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from contract_runtime.topics import topic_of
from tests.integration.kafka.broker import DEADLINE, Broker
from worker_service.kafka.uncompressed import skip_compressed_batches

RECORD = bytes(1_000_000)
RECORDS = 20


async def send_bomb(broker: Broker, topic: str) -> None:
    """One batch with much more in it than the broker would store uncompressed."""
    async with AIOKafkaProducer(
        bootstrap_servers=list(broker.servers),
        compression_type="gzip",
        max_batch_size=2 * RECORDS * len(RECORD),
    ) as producer:
        batch = producer.create_batch()
        for _ in range(RECORDS):
            assert batch.append(key=None, value=RECORD, timestamp=None) is not None
        batch.close()
        await (await producer.send_batch(batch, topic, partition=0))


async def test_a_worker_skips_a_compressed_batch_without_inflating_it(broker: Broker, job_type: str) -> None:
    assert await broker.topics(job_type).create_missing()
    await broker.partitions_when_made(job_type)
    topic = topic_of(job_type)
    await send_bomb(broker, topic)
    async with AIOKafkaProducer(bootstrap_servers=list(broker.servers)) as producer:
        await producer.send_and_wait(topic, b"plain", partition=0)
    skip_compressed_batches()
    tracemalloc.start()
    try:
        async with (
            asyncio.timeout(DEADLINE),
            AIOKafkaConsumer(
                topic, bootstrap_servers=list(broker.servers), auto_offset_reset="earliest"
            ) as consumer,
        ):
            record = await consumer.getone()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (record.offset, record.value) == (RECORDS, b"plain")
    assert peak < 5_000_000
