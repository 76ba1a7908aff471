"""A few jobs go to as many partitions as there are; where many come, they go in larger shares, to all in turn."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from api_server.adapters.kafka.partitioner import JOBS_A_SHARE, RECENT_SECONDS, Partitioner

TOPIC, PARTITIONS = "jobs.compute", [3, 5, 7]
MANY = len(PARTITIONS) * JOBS_A_SHARE


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def busy(clock: Clock, jobs: int = MANY) -> Partitioner:
    shares = Partitioner(clock)
    shares.split(TOPIC, PARTITIONS, range(jobs))
    return shares


def sizes(shares: Partitioner, jobs: int, topic: str = TOPIC) -> list[int]:
    return [len(share) for _, share in shares.split(topic, PARTITIONS, range(jobs))]


def test_few_jobs_are_spread_over_all_partitions() -> None:
    shares = Partitioner(Clock())
    assert shares.split(TOPIC, PARTITIONS, [0, 1, 2, 3]) == [(3, [0, 3]), (5, [1]), (7, [2])]


def test_jobs_that_come_one_by_one_go_to_the_partitions_in_turn() -> None:
    shares = Partitioner(Clock())
    assert [shares.split(TOPIC, PARTITIONS, [0])[0][0] for _ in range(5)] == [3, 5, 7, 3, 5]


def test_where_many_come_they_go_in_large_shares() -> None:
    assert sizes(busy(Clock()), JOBS_A_SHARE) == [JOBS_A_SHARE]
    assert sizes(busy(Clock()), JOBS_A_SHARE + 1) == [9, 8]
    assert sizes(busy(Clock()), 300) == [100, 100, 100]


def test_it_takes_as_many_as_give_every_partition_its_share() -> None:
    assert sizes(busy(Clock(), MANY - 1), 2) == [1, 1]
    assert sizes(busy(Clock(), MANY), 2) == [2]


def test_what_was_published_long_ago_does_not_count_nor_what_another_topic_gets() -> None:
    clock = Clock()
    shares = busy(clock)
    assert sizes(shares, 2, "jobs.file") == [1, 1]
    clock.seconds += RECENT_SECONDS
    assert sizes(shares, 2) == [2]
    clock.seconds += 0.001
    assert sizes(shares, 2) == [1, 1]


@given(st.lists(st.integers(1, 200), max_size=20))
def test_every_job_goes_once_and_partitions_get_shares_in_turn(publishes: list[int]) -> None:
    shares, turns = Partitioner(Clock()), Counter[int]()
    for jobs in publishes:
        split = shares.split(TOPIC, PARTITIONS, range(jobs))
        assert sorted(job for _, share in split for job in share) == list(range(jobs))
        turns.update(partition for partition, _ in split)
        assert max(turns.values()) - min(turns[partition] for partition in PARTITIONS) <= 1
