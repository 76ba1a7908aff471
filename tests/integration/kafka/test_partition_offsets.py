"""How far a group is in a topic, read from a real Kafka."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from api_server.adapters.kafka.partition_offsets import PartitionOffsets
from api_server.domain.record_positions import PartitionState, RecordPosition
from local_stack.stack import Stack
from tests.integration.kafka.broker import DEADLINE, GROUP, PARTITIONS, Adapters, Broker
from tests.integration.kafka.test_kafka_publisher import publish_until_written
from tests.unit.api_server.dispatch.dispatch_fakes import make_dispatch
from tests.waiting import until

ALL = range(PARTITIONS)
PAUSE = 0.02
"""Seconds between two questions, so that the broker has CPU time for its start."""
States = Mapping[int, PartitionState]


async def states_until(
    kafka: Adapters, job_type: str, wanted: Callable[[States], bool] = lambda _: True
) -> States:
    """As soon as they are as `wanted`. A broker that has just started needs a moment before it knows them."""

    async def read() -> list[States]:
        """Empty: not yet."""
        states = await kafka.offsets.partition_states(job_type, ALL)
        return [states] if states is not None and wanted(states) else []

    found: list[States] = await until(read, "the partitions are as wanted")
    return found[0]


async def publish(kafka: Adapters, job_type: str, for_each: int) -> list[RecordPosition]:
    """Publish this number of records to each partition."""
    dispatches = [make_dispatch(job_type=job_type) for _ in range(for_each * PARTITIONS)]
    return [position for position in await kafka.publisher.publish(dispatches) if position is not None]


async def test_a_type_without_a_topic_has_no_partitions(broker: Broker, job_type: str) -> None:
    async with broker.adapters(job_type) as kafka:
        assert await states_until(kafka, job_type) == {}


async def test_an_empty_topic_holds_nothing(broker: Broker, job_type: str) -> None:
    assert await broker.topics(job_type).create_missing()
    async with broker.adapters(job_type) as kafka:
        states = await states_until(kafka, job_type, bool)
    assert states == dict.fromkeys(ALL, PartitionState(committed=None, start=0, end=0, first_time=None))


async def test_a_group_that_never_committed_has_the_whole_topic_before_it(
    broker: Broker, job_type: str
) -> None:
    async with broker.adapters(job_type) as kafka:
        positions = await publish(kafka, job_type, 3)
        states = await states_until(kafka, job_type)
    assert len(positions) == 3 * PARTITIONS
    first_times = {position.partition: position.time for position in positions if position.offset == 0}
    assert states == {
        partition: PartitionState(committed=None, start=0, end=3, first_time=first_times[partition])
        for partition in ALL
    }
    assert all(states[position.partition].holds(position) for position in positions)


async def test_only_named_partitions_that_exist_are_returned(broker: Broker, job_type: str) -> None:
    async with broker.adapters(job_type) as kafka:
        await publish(kafka, job_type, 1)
        await states_until(kafka, job_type)
        states = await kafka.offsets.partition_states(job_type, [1, 3, PARTITIONS])
    assert states is not None
    assert set(states) == {1, 3}


async def test_records_before_the_commit_do_not_wait_and_the_others_do(broker: Broker, job_type: str) -> None:
    async with broker.adapters(job_type) as kafka:
        positions = await publish(kafka, job_type, 5)
        await broker.commit(job_type, dict.fromkeys(ALL, 3))
        await broker.commit(job_type, dict.fromkeys(ALL, 5), group="others")
        states = await states_until(kafka, job_type)
    assert {state.committed for state in states.values()} == {3}
    assert sorted(
        position.offset for position in positions if states[position.partition].holds(position)
    ) == sorted([3, 4] * PARTITIONS)


async def test_a_group_that_was_set_back_has_its_records_before_it_again(
    broker: Broker, job_type: str
) -> None:
    async with broker.adapters(job_type) as kafka:
        (position, *_) = await publish(kafka, job_type, 1)
        await broker.commit(job_type, dict.fromkeys(ALL, 1))
        assert not (await states_until(kafka, job_type))[position.partition].holds(position)
        await broker.commit(job_type, dict.fromkeys(ALL, 0))
        assert (await states_until(kafka, job_type))[position.partition].holds(position)


async def test_records_that_retention_removed_do_not_wait(broker: Broker, job_type: str) -> None:
    async with broker.adapters(job_type) as kafka:
        positions = await publish(kafka, job_type, 5)
        await broker.delete_records(job_type, dict.fromkeys(ALL, 4))
        states = await states_until(kafka, job_type)
    assert {(state.start, state.end) for state in states.values()} == {(4, 5)}
    assert {position.offset for position in positions if states[position.partition].holds(position)} == {4}


async def test_a_topic_made_again_holds_its_own_records_only(broker: Broker, job_type: str) -> None:
    async with broker.adapters(job_type) as kafka:
        old = await publish(kafka, job_type, 5)
        await broker.commit(job_type, dict.fromkeys(ALL, 2))
        await broker.delete_topic(job_type)
        assert await states_until(kafka, job_type, lambda states: not states) == {}
        assert await broker.topics(job_type).create_missing()
        await states_until(kafka, job_type, bool)
        await publish_until_written(
            kafka.publisher, [make_dispatch(job_type=job_type) for _ in range(10 * PARTITIONS)]
        )
        states = await states_until(
            kafka, job_type, lambda states: all(state.end >= 5 for state in states.values())
        )
    assert not any(states[position.partition].holds(position) for position in old)
    # By their offsets alone they would still wait.
    assert any(replace(states[position.partition], first_time=0).holds(position) for position in old)


@pytest.mark.slow
async def test_while_a_broker_loads_the_commits_they_are_unknown(
    servers: Stack, broker: Broker, job_type: str
) -> None:
    async with broker.adapters(job_type) as kafka:
        await publish(kafka, job_type, 2)
    async with broker.reader(job_type, GROUP) as reader:
        # Many large commits, which a broker needs a moment to load.
        for _ in range(500):
            await reader.commit(job_type, dict.fromkeys(ALL, 2), note="x" * 4000)
    await asyncio.to_thread(servers.kill, "kafka")
    servers.spawn("kafka")
    found: States = {}
    async with asyncio.timeout(DEADLINE):
        while not found:
            # A new object each time: after a failure it does not ask again for one second.
            offsets = PartitionOffsets(broker.servers, GROUP)
            found = await offsets.partition_states(job_type, ALL) or {}
            await offsets.close()
            await asyncio.sleep(PAUSE)
    await asyncio.to_thread(servers.wait_ready, "kafka")
    assert [state.committed for state in found.values()] == [2] * PARTITIONS
