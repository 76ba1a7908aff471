"""A real worker with real Kafka: bad or duplicate records, a full lane and rebalances delay no other job."""

import asyncio
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from grpc_health.v1 import health_pb2, health_pb2_grpc

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from local_stack.stack import Stack
from tests.e2e.jobs_api import create, get, jobs_client, wait_until_ended
from tests.gate import Gate
from tests.waiting import until, wait_for
from worker_service.claiming.backlog import FULL_RECORDS

GROUP = "job-workers"


@dataclass(frozen=True)
class Kafka:
    """Writes records and reads offsets, past the worker."""

    servers: str

    async def send(self, topic: str, values: Sequence[bytes | None], partition: int | None = None) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.servers, acks="all") as producer:
            # A record without a value must have a key.
            keys = [b"key" if value is None else None for value in values]
            sent = [
                await producer.send(topic, value, key, partition)
                for value, key in zip(values, keys, strict=True)
            ]
            await asyncio.gather(*sent)

    async def partitions(self, topic: str) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers)
        await admin.start()
        try:
            [description] = await admin.describe_topics([topic])
        finally:
            await admin.close()
        return [TopicPartition(topic, partition["partition"]) for partition in description["partitions"]]

    async def lag(self, topic: str) -> int:
        """How many records the workers have not finished."""
        partitions = await self.partitions(topic)
        async with AIOKafkaConsumer(bootstrap_servers=self.servers, group_id=GROUP) as consumer:
            ends = await consumer.end_offsets(partitions)
            committed = [await consumer.committed(partition) or 0 for partition in partitions]
        return int(sum(ends.values()) - sum(committed))

    async def wait_until_finished(self, topic: str) -> None:
        async def done() -> bool:
            return await self.lag(topic) == 0

        await until(done)


@pytest.fixture
def kafka(stack: Stack) -> Kafka:
    return Kafka(stack.address("kafka"))


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx.Client]:
    with jobs_client(stack) as client:
        yield client


def record_of(job: dict[str, Any]) -> bytes:
    payload = dict_to_struct(job["payload"])
    record = DispatchRecord(id=job["id"], type=job["type"], attempt=0, payload=payload)
    record.max_attempts = job["retryPolicy"]["maxAttempts"]
    return record.SerializeToString()


def unknown_record(job_type: str) -> bytes:
    """A record of a job that does not exist."""
    return DispatchRecord(id=str(uuid4()), type=job_type, payload_omitted=True).SerializeToString()


async def test_unusable_records_do_not_block_their_partition(
    stack: Stack, kafka: Kafka, client: httpx.Client
) -> None:
    unusable = [b"\xff\xff", None, unknown_record("file"), unknown_record("compute")]
    for _, number in await kafka.partitions("jobs.compute"):
        await kafka.send("jobs.compute", unusable, number)

    job = wait_until_ended(client, create(client, "compute", {"input": "after them"})["id"])

    assert (job["status"], job["attempt"]) == ("completed", 1)
    await kafka.wait_until_finished("jobs.compute")
    lines = [json.loads(line) for line in stack.log_file("worker").read_text().splitlines()]
    logged = [line for line in lines if line["event"] == "bad_record"]
    assert {line["problem"] for line in logged} == {
        "the value is not a DispatchRecord",
        "the record has no value",
        "type: must belong to topic jobs.compute, is 'file'",
    }
    assert all(
        line["topic"] == "jobs.compute" and "partition" in line and "offset" in line for line in logged
    )


async def test_a_job_with_duplicate_records_runs_once(kafka: Kafka, client: httpx.Client, gate: Gate) -> None:
    job = create(client, "gated", gate.payload)
    duplicates = [record_of(job)] * 5
    await kafka.send("jobs.gated", duplicates)
    wait_for(lambda: gate.runs(job["id"]), "the job runs")
    await kafka.send("jobs.gated", duplicates)
    await kafka.wait_until_finished("jobs.gated")

    gate.open()
    ended = wait_until_ended(client, job["id"])
    await kafka.send("jobs.gated", duplicates)
    await kafka.wait_until_finished("jobs.gated")

    assert (ended["status"], ended["attempt"]) == ("completed", 1)
    assert get(client, job["id"]) == ended
    assert gate.runs(job["id"]) == [1]


@pytest.mark.slow
async def test_a_full_lane_delays_only_its_own_types(kafka: Kafka, client: httpx.Client, gate: Gate) -> None:
    # One job for each thread: the thread lane can claim no more.
    running = [create(client, "gated-thread", gate.payload)["id"] for _ in range(os.cpu_count() or 1)]
    wait_for(lambda: all(gate.runs(job_id) for job_id in running), "all threads are taken")
    waiting = FULL_RECORDS + 500
    await kafka.send("jobs.gated-thread", [unknown_record("gated-thread") for _ in range(waiting)])

    for number in range(20):
        job = wait_until_ended(client, create(client, "compute", {"input": str(number)})["id"])
        assert job["status"] == "completed"
    assert await kafka.lag("jobs.gated-thread") >= waiting

    last = create(client, "gated-thread", gate.payload)["id"]
    gate.open()
    assert wait_until_ended(client, last)["status"] == "completed"
    await kafka.wait_until_finished("jobs.gated-thread")


async def test_jobs_go_on_through_rebalances(
    stack: Stack, kafka: Kafka, client: httpx.Client, gate: Gate
) -> None:
    running = create(client, "gated", gate.payload)["id"]
    wait_for(lambda: gate.runs(running), "the job runs")
    ids = []
    for change in (stack.start, stack.stop):
        changing = asyncio.create_task(asyncio.to_thread(change, "worker", 2))
        while not changing.done():
            ids.append(create(client, "compute", {"input": "rebalance"})["id"])
            await asyncio.sleep(0)
        await changing
    gate.open()

    ended = [wait_until_ended(client, job_id) for job_id in [running, *ids]]

    assert {(job["status"], job["attempt"]) for job in ended} == {("completed", 1)}
    assert gate.runs(running) == [1]
    await kafka.wait_until_finished("jobs.compute")


@pytest.mark.slow
async def test_a_worker_without_kafka_is_not_healthy_until_kafka_is_back(
    stack: Stack, client: httpx.Client
) -> None:
    async def serving() -> bool:
        async with grpc.aio.insecure_channel(stack.address("worker")) as channel:
            request = health_pb2.HealthCheckRequest()
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=5)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def not_serving() -> bool:
        return not await serving()

    assert await serving()
    stack.freeze("kafka")
    try:
        await until(not_serving)
    finally:
        stack.thaw("kafka")
    await until(serving)
    assert wait_until_ended(client, create(client, "compute", {"input": "again"})["id"])["attempt"] == 1
