"""How far a group is in a topic, as a real Kafka tells it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from api_server.adapters.kafka.partition_offsets import PartitionOffsets
from api_server.adapters.kafka.publisher import KafkaPublisher
from api_server.domain.record_positions import PartitionState, RecordPosition
from local_stack.stack import Stack
from tests.integration.kafka.broker import DEADLINE, GROUP, PARTITIONS, Broker
from tests.integration.kafka.test_kafka_publisher import publish_until_written
from tests.unit.api_server.dispatch.dispatch_fakes import make_dispatch

ALL = range(PARTITIONS)
Logs = Mapping[int, PartitionState]


async def logs_until(
    publisher: KafkaPublisher, job_type: str, wanted: Callable[[Logs], bool] = lambda _: True
) -> Logs:
    """As soon as they are as `wanted`; a broker that just started needs a moment to tell them."""
    async with asyncio.timeout(DEADLINE):
        while True:
            logs = await publisher.logs(job_type, ALL)
            if logs is not None and wanted(logs):
                return logs
            await asyncio.sleep(0.05)


async def publish(publisher: KafkaPublisher, job_type: str, for_each: int) -> list[RecordPosition]:
    """So many records for each partition."""
    dispatches = [make_dispatch(job_type=job_type) for _ in range(for_each * PARTITIONS)]
    return [position for position in await publisher.publish(dispatches) if position is not None]


async def test_a_type_without_a_topic_has_no_logs(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        assert await logs_until(publisher, job_type) == {}


async def test_an_empty_topic_holds_nothing(broker: Broker, job_type: str) -> None:
    assert await broker.topics(job_type).create_missing()
    async with broker.publisher(job_type) as publisher:
        logs = await logs_until(publisher, job_type, bool)
    assert logs == dict.fromkeys(ALL, PartitionState(committed=None, start=0, end=0, first_time=None))


async def test_a_group_that_never_committed_has_the_whole_topic_before_it(
    broker: Broker, job_type: str
) -> None:
    async with broker.publisher(job_type) as publisher:
        places = await publish(publisher, job_type, 3)
        logs = await logs_until(publisher, job_type)
    assert len(places) == 3 * PARTITIONS
    first_times = {position.partition: position.time for position in places if position.offset == 0}
    assert logs == {
        partition: PartitionState(committed=None, start=0, end=3, first_time=first_times[partition])
        for partition in ALL
    }
    assert all(logs[position.partition].holds(position) for position in places)


async def test_only_the_partitions_asked_for_that_exist_are_told(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        await publish(publisher, job_type, 1)
        await logs_until(publisher, job_type)
        logs = await publisher.logs(job_type, [1, 3, PARTITIONS])
    assert logs is not None
    assert set(logs) == {1, 3}


async def test_records_before_the_commit_do_not_wait_and_the_others_do(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        places = await publish(publisher, job_type, 5)
        await broker.commit(job_type, dict.fromkeys(ALL, 3))
        await broker.commit(job_type, dict.fromkeys(ALL, 5), group="others")
        logs = await logs_until(publisher, job_type)
    assert {log.committed for log in logs.values()} == {3}
    assert sorted(
        position.offset for position in places if logs[position.partition].holds(position)
    ) == sorted([3, 4] * PARTITIONS)


async def test_a_group_that_was_set_back_has_its_records_before_it_again(
    broker: Broker, job_type: str
) -> None:
    async with broker.publisher(job_type) as publisher:
        (position, *_) = await publish(publisher, job_type, 1)
        await broker.commit(job_type, dict.fromkeys(ALL, 1))
        assert not (await logs_until(publisher, job_type))[position.partition].holds(position)
        await broker.commit(job_type, dict.fromkeys(ALL, 0))
        assert (await logs_until(publisher, job_type))[position.partition].holds(position)


async def test_records_that_retention_removed_do_not_wait(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        places = await publish(publisher, job_type, 5)
        await broker.delete_records(job_type, dict.fromkeys(ALL, 4))
        logs = await logs_until(publisher, job_type)
    assert {(log.start, log.end) for log in logs.values()} == {(4, 5)}
    assert {position.offset for position in places if logs[position.partition].holds(position)} == {4}


async def test_a_topic_made_again_holds_its_own_records_only(broker: Broker, job_type: str) -> None:
    async with broker.publisher(job_type) as publisher:
        old = await publish(publisher, job_type, 5)
        await broker.commit(job_type, dict.fromkeys(ALL, 2))
        await broker.delete_topic(job_type)
        assert await logs_until(publisher, job_type, lambda logs: not logs) == {}
        assert await broker.topics(job_type).create_missing()
        await logs_until(publisher, job_type, bool)
        await publish_until_written(
            publisher, [make_dispatch(job_type=job_type) for _ in range(10 * PARTITIONS)]
        )
        logs = await logs_until(publisher, job_type, lambda logs: all(log.end >= 5 for log in logs.values()))
    assert not any(logs[position.partition].holds(position) for position in old)
    # By their offsets alone they would still wait.
    assert any(replace(logs[position.partition], first_time=0).holds(position) for position in old)


async def test_a_broker_that_still_loads_the_commits_does_not_tell(
    servers: Stack, broker: Broker, job_type: str
) -> None:
    async with broker.publisher(job_type) as publisher:
        await publish(publisher, job_type, 2)
    async with broker.reader(job_type, GROUP) as reader:
        # Many and large ones, which take a broker a moment to load.
        for _ in range(500):
            await reader.commit(job_type, dict.fromkeys(ALL, 2), note="x" * 4000)
    await asyncio.to_thread(servers.kill, "kafka")
    servers.spawn("kafka")
    told: Logs = {}
    async with asyncio.timeout(DEADLINE):
        while not told:
            # A new one each time: after a failure it does not ask for a second.
            logs = PartitionOffsets(broker.servers, GROUP)
            told = await logs.read(job_type, ALL) or {}
            await logs.close()
    await asyncio.to_thread(servers.wait_ready, "kafka")
    assert [log.committed for log in told.values()] == [2] * PARTITIONS
