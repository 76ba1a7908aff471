"""Which topics have too few copies."""

from typing import Any

import pytest

from api_server.adapters.kafka.topics import copies_by_topic, thin_topics

UNKNOWN_TOPIC = 3


def described(topic: str, *copies: int) -> dict[str, Any]:
    """As aiokafka describes a topic. `copies`: for each partition, the number of brokers that have it."""
    partitions = [{"partition": n, "replicas": list(range(count))} for n, count in enumerate(copies)]
    return {"error_code": 0, "topic": topic, "partitions": partitions}


def test_a_topic_has_as_many_copies_as_its_worst_partition() -> None:
    missing = {"error_code": UNKNOWN_TOPIC, "topic": "jobs.new", "partitions": []}
    assert copies_by_topic([described("jobs.a", 3, 1, 2), described("jobs.b", 2, 2), missing]) == {
        "jobs.a": 1,
        "jobs.b": 2,
    }


@pytest.mark.parametrize(
    ("copies", "brokers", "replication_factor", "is_thin"),
    [
        (1, 1, 1, False),
        (1, 2, 1, True),
        (1, 3, 1, True),
        (2, 3, 1, False),
        (2, 3, 3, True),
        (3, 3, 3, False),
        # The setting asks for more copies than there are brokers.
        (1, 1, 3, True),
    ],
)
def test_one_copy_is_few_where_there_are_more_brokers_or_the_setting_wants_more(
    copies: int, brokers: int, replication_factor: int, is_thin: bool
) -> None:
    assert thin_topics({"jobs.a": copies}, brokers, replication_factor) == (
        {"jobs.a": copies} if is_thin else {}
    )
