"""Which topics a consumer needs before it joins its group."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from worker_service.api.backoff import Backoff
from worker_service.kafka.committer import Committer
from worker_service.kafka.consumer import JobConsumer, KafkaAddress
from worker_service.kafka.offsets import OffsetTracker


class Kafka:
    """A consumer of aiokafka that knows these topics."""

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = set(topics)

    async def start(self) -> None:
        """Succeeds."""

    async def topics(self) -> set[str]:
        return self._topics


@pytest.mark.parametrize(
    ("existing", "may_be_missing", "expected"),
    [
        ({"a", "b", "other"}, set(), {"a", "b"}),
        ({"a"}, set(), set()),
        ({"a"}, {"b"}, {"a"}),
        ({"a"}, {"a"}, set()),
        ({"a", "b"}, {"b"}, {"a", "b"}),
        (set(), {"a", "b"}, set()),
    ],
)
async def test_a_consumer_waits_for_its_topics_except_those_that_nobody_creates(
    existing: set[str], may_be_missing: set[str], expected: set[str]
) -> None:
    committer = Committer(OffsetTracker(), Backoff())
    sink: Any = None
    consumer = JobConsumer(
        KafkaAddress([], "group", "name"), ["a", "b"], sink, committer, asyncio.Event(), Backoff()
    )
    consumer.may_be_missing = may_be_missing
    kafka: Any = Kafka(existing)
    assert await consumer._existing_topics(kafka) == expected
