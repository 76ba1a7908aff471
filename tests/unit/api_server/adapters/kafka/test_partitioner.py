"""A few jobs are spread over all partitions. Many jobs go in larger parts, to all partitions in turn."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from api_server.adapters.kafka.partitioner import JOBS_PER_PART, RECENT_SECONDS, Partitioner
from tests.clocks import MonotonicClock

TOPIC, PARTITIONS = "jobs.compute", [3, 5, 7]
MANY = len(PARTITIONS) * JOBS_PER_PART


def busy(clock: MonotonicClock, jobs: int = MANY) -> Partitioner:
    partitioner = Partitioner(clock)
    partitioner.split(TOPIC, PARTITIONS, range(jobs))
    return partitioner


def sizes(partitioner: Partitioner, jobs: int, topic: str = TOPIC) -> list[int]:
    return [len(part) for _, part in partitioner.split(topic, PARTITIONS, range(jobs))]


def test_few_jobs_are_spread_over_all_partitions() -> None:
    partitioner = Partitioner(MonotonicClock())
    assert partitioner.split(TOPIC, PARTITIONS, [0, 1, 2, 3]) == [(3, [0, 3]), (5, [1]), (7, [2])]


def test_jobs_that_come_one_by_one_go_to_the_partitions_in_turn() -> None:
    partitioner = Partitioner(MonotonicClock())
    assert [partitioner.split(TOPIC, PARTITIONS, [0])[0][0] for _ in range(5)] == [3, 5, 7, 3, 5]


def test_under_load_jobs_go_in_large_parts() -> None:
    assert sizes(busy(MonotonicClock()), JOBS_PER_PART) == [JOBS_PER_PART]
    assert sizes(busy(MonotonicClock()), JOBS_PER_PART + 1) == [9, 8]
    assert sizes(busy(MonotonicClock()), 300) == [100, 100, 100]


def test_load_begins_when_every_partition_gets_its_part() -> None:
    assert sizes(busy(MonotonicClock(), MANY - 1), 2) == [1, 1]
    assert sizes(busy(MonotonicClock(), MANY), 2) == [2]


def test_only_recent_jobs_of_the_same_topic_count_as_load() -> None:
    clock = MonotonicClock()
    partitioner = busy(clock)
    assert sizes(partitioner, 2, "jobs.file") == [1, 1]
    clock.now += RECENT_SECONDS
    assert sizes(partitioner, 2) == [2]
    clock.now += 0.001
    assert sizes(partitioner, 2) == [1, 1]


@given(st.lists(st.integers(1, 200), max_size=20))
def test_every_job_goes_once_and_partitions_get_parts_in_turn(publishes: list[int]) -> None:
    partitioner, turns = Partitioner(MonotonicClock()), Counter[int]()
    for jobs in publishes:
        split = partitioner.split(TOPIC, PARTITIONS, range(jobs))
        assert sorted(job for _, part in split for job in part) == list(range(jobs))
        turns.update(partition for partition, _ in split)
        assert max(turns.values()) - min(turns[partition] for partition in PARTITIONS) <= 1
