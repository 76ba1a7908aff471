"""The floor: only the storage and the dispatch of our design.

Each batch is inserted (one statement, majority), written to Kafka (acks=all), polled, claimed (one guarded
statement), hashed and reported (one guarded statement). Inserts overlap with the other steps. There is no
gRPC, no contract and no recovery. So the floor is what MongoDB and Kafka allow on this machine with the API
server's documents and indexes.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uuid_utils.compat
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient

from api_server.adapters.mongo.indexes import INDEXES
from bench.results import Sample
from bench.usage import Usage, since
from bench.work import digest, text
from job_client._gen.jobs.v1 import dispatch_pb2

TOPIC = "jobs.compute"
PARTITIONS = 12
AT_A_TIME = 2
"""Batches at a time that are inserted, and the same number that are claimed and reported."""
WORKER = "worker-1/0192f0c1-2345-7abc-8def-0123456789ab"
MAX_BATCH_BYTES = 1024 * 1024
LEASE = timedelta(seconds=15)
MAX_WARM_UP_JOBS = 2000

Batch = Sequence[tuple[UUID, str]]

# aiokafka warns while a new broker creates its first group. It then continues without help.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


class Floor:
    def __init__(self, jobs: Any, producer: AIOKafkaProducer, consumer: AIOKafkaConsumer) -> None:
        self._jobs = jobs
        self._producer = producer
        self._consumer = consumer

    async def run(self, jobs: int, size: int) -> None:
        batches = iter(range(0, jobs, size))
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(self._submit(batches, jobs, size))
            group.create_task(self._work(jobs, size))

    async def _submit(self, starts: Iterator[int], jobs: int, size: int) -> None:
        for start in starts:
            batch = [
                (uuid_utils.compat.uuid7(), text(number)) for number in range(start, min(start + size, jobs))
            ]
            await self._jobs.insert_many([_document(*each) for each in batch], ordered=False)
            records = self._producer.create_batch()
            for job_id, job_text in batch:
                records.append(key=None, value=_record(job_id, job_text), timestamp=None)
            records.close()
            await (await self._producer.send_batch(records, TOPIC, partition=start // size % PARTITIONS))

    async def _work(self, jobs: int, size: int) -> None:
        slots = asyncio.Semaphore(AT_A_TIME)
        async with asyncio.TaskGroup() as group:
            while jobs > 0:
                polled = await self._consumer.getmany(timeout_ms=1000, max_records=size)
                records = [
                    dispatch_pb2.DispatchRecord.FromString(each.value)
                    for part in polled.values()
                    for each in part
                ]
                if not records:
                    continue
                jobs -= len(records)
                offsets = {partition: part[-1].offset + 1 for partition, part in polled.items()}
                await slots.acquire()
                batch = [(UUID(record.id), str(record.payload["input"])) for record in records]
                group.create_task(self._claim_and_report(batch, offsets)).add_done_callback(
                    lambda _: slots.release()
                )

    async def _claim_and_report(self, batch: Batch, offsets: dict[Any, int]) -> None:
        ids = [job_id for job_id, _ in batch]
        now = datetime.now(UTC)
        claimed = await self._jobs.update_many(
            {"_id": {"$in": ids}, "status": "queued", "attempt": 0, "type": "compute"},
            {
                "$set": {
                    "status": "processing",
                    "worker_id": WORKER,
                    "start_time": now,
                    "update_time": now,
                    "due_time": now + LEASE,
                },
                "$unset": {"dispatches": ""},
                "$inc": {"revision": 1, "attempt": 1},
            },
        )
        commit = asyncio.create_task(self._consumer.commit(offsets))
        results = [{"hash": digest(job_text)} for _, job_text in batch]
        now = datetime.now(UTC)
        position = {"$indexOfArray": [{"$literal": ids}, "$_id"]}
        own = {
            "status": {"$literal": "completed"},
            "end_time": now,
            "update_time": now,
            "result": {"$arrayElemAt": [{"$literal": results}, position]},
            "revision": {"$add": ["$revision", 1]},
        }
        reported = await self._jobs.update_many(
            {"_id": {"$in": ids}, "status": "processing", "attempt": 1, "worker_id": WORKER},
            [{"$set": own}, {"$unset": ["due_time", "dispatches"]}],
        )
        await commit
        if claimed.modified_count != len(batch) or reported.modified_count != len(batch):
            raise RuntimeError("a job was lost")


def _document(job_id: UUID, job_text: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "_id": job_id,
        "type": "compute",
        "status": "queued",
        "payload": {"input": job_text},
        "attempt": 0,
        "revision": 1,
        "create_time": now,
        "update_time": now,
        "due_time": now + LEASE,
    }


def _record(job_id: UUID, job_text: str) -> bytes:
    record = dispatch_pb2.DispatchRecord(id=str(job_id), type="compute")
    record.payload["input"] = job_text
    return record.SerializeToString()


def measure_floor(usage: Usage, mongodb: str, kafka: str, jobs: int, size: int) -> Sample:
    """Measure with batches of `size`.

    This process does all the work; its CPU time counts as the role `floor`.
    """
    return asyncio.run(_measure(usage, mongodb, kafka, jobs, size))


async def _measure(usage: Usage, mongodb: str, kafka: str, jobs: int, size: int) -> Sample:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", max_batch_size=MAX_BATCH_BYTES)
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=kafka,
        group_id="floor",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        mongodb, w="majority", uuidRepresentation="standard"
    )
    async with client, producer, consumer:
        await client.jobs.jobs.create_indexes(INDEXES["jobs"])
        floor = Floor(client.jobs.jobs, producer, consumer)
        await floor.run(min(jobs // 10, MAX_WARM_UP_JOBS), size)
        usage.forget_peaks()
        before, clock, cpu = usage.cpu_seconds(), time.perf_counter(), time.process_time()
        await floor.run(jobs, size)
        seconds = time.perf_counter() - clock
        used = {**since(before, usage.cpu_seconds()), "floor": time.process_time() - cpu}
        return Sample(jobs, seconds, seconds, used, 0.0, usage.peak_bytes())
