"""A worker that takes a dead worker's name gets its partitions at once, before the dead member's session
ends.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, asynccontextmanager
from typing import IO

import pytest
from structlog.testing import capture_logs

from contract_runtime.topics import topic_of
from tests.integration.kafka.broker import Broker
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.kafka.committer import Committer
from worker_service.kafka.consumer import JobConsumer, KafkaAddress
from worker_service.kafka.group_members import remove_members
from worker_service.kafka.offsets import OffsetTracker, Partition

DEADLINE = 90.0
SESSION_SECONDS = 25.0
SOON = 5.0
PARTITIONS = 4
MEMBER = f"""
import asyncio, sys
from aiokafka import AIOKafkaConsumer

async def main(servers, group, client_id, topic):
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=group,
        client_id=client_id,
        session_timeout_ms={SESSION_SECONDS:.0f}_000,
        enable_auto_commit=False,
    )
    await consumer.start()
    while True:
        await consumer.getmany(timeout_ms=100)
        print(len(consumer.assignment()), flush=True)

asyncio.run(main(*sys.argv[1:]))
"""
"""Prints the number of its partitions again and again."""


class Member:
    """A process that is a member of a group and can be killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def has(self, partitions: int) -> None:
        """Wait until it has this number of partitions."""
        stream: IO[str] | None = self.process.stdout
        assert stream is not None
        until = time.monotonic() + DEADLINE
        while stream.readline().strip() != str(partitions):
            assert time.monotonic() < until
            assert self.process.poll() is None


@pytest.fixture
def join(broker: Broker, job_type: str) -> Iterator[Callable[[str], Member]]:
    """Starts a member of the test's own group under a name."""
    with ExitStack() as cleanup:

        def start(name: str) -> Member:
            command = [sys.executable, "-c", MEMBER, *broker.servers, job_type, name, topic_of(job_type)]
            process = cleanup.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            cleanup.callback(process.kill)
            return Member(process)

        yield start


class RecordSink:
    def wants(self, topic: str) -> bool:
        return bool(topic)

    def accept(self, partition: Partition, offset: int, value: bytes | None) -> None: ...

    async def revoked(self, partitions: AbstractSet[Partition]) -> None: ...


@asynccontextmanager
async def worker(broker: Broker, job_type: str, name: str) -> AsyncIterator[JobConsumer]:
    """The consumer of a worker of this name, at work."""
    consumer = JobConsumer(
        KafkaAddress(broker.servers, job_type, name),
        [topic_of(job_type)],
        RecordSink(),
        Committer(OffsetTracker(), Backoff()),
        asyncio.Event(),
        Backoff(),
    )
    await consumer.start()
    polling = asyncio.create_task(consumer.poll())
    try:
        yield consumer
    finally:
        polling.cancel()
        await asyncio.wait([polling])
        await consumer.close()


async def has_all_partitions(consumer: JobConsumer) -> float:
    """The seconds it took."""
    begin = time.monotonic()
    await until(lambda: len(consumer.assignment()) == PARTITIONS)
    return time.monotonic() - begin


async def make_topic(broker: Broker, job_type: str) -> None:
    await broker.topics(job_type, PARTITIONS).create_until_there()
    await broker.partitions_when_made(job_type)


async def test_the_successor_of_a_killed_worker_has_its_partitions_at_once(
    broker: Broker, job_type: str, join: Callable[[str], Member]
) -> None:
    await make_topic(broker, job_type)
    member = join("name")
    await asyncio.to_thread(member.has, PARTITIONS)
    member.process.kill()
    member.process.wait()

    with capture_logs() as logs:
        async with worker(broker, job_type, "name") as consumer:
            seconds = await has_all_partitions(consumer)

    assert seconds < SOON
    [removed] = [line for line in logs if line["event"] == "dead_members_removed"]
    assert len(removed["members"]) == 1


async def test_a_worker_of_another_name_does_not_remove_a_living_member(
    broker: Broker, job_type: str, join: Callable[[str], Member]
) -> None:
    await make_topic(broker, job_type)
    member = join("other")
    await asyncio.to_thread(member.has, PARTITIONS)

    await remove_members(broker.servers, job_type, "name")
    async with worker(broker, job_type, "name"):
        await asyncio.to_thread(member.has, PARTITIONS // 2)


async def test_without_a_group_no_member_is_removed(broker: Broker, job_type: str) -> None:
    with capture_logs() as logs:
        await remove_members(broker.servers, job_type, "name")

    assert logs == []


async def test_without_kafka_removing_members_only_logs() -> None:
    with capture_logs() as logs:
        await remove_members(["127.0.0.1:1"], "group", "name")

    assert [line["event"] for line in logs] == ["dead_members_not_removed"]
