"""The Dramatiq application. Redis is the broker and stores the results."""

from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.peers.task import TASK, hash_text


def dramatiq_actor(broker: str, results: str) -> Any:
    """`broker` and `results` are URLs. Dramatiq always acknowledges a message after it ran."""
    found = RedisBroker(url=broker)
    found.add_middleware(Results(backend=RedisBackend(url=results), store_results=True))
    return dramatiq.actor(hash_text, actor_name=TASK, broker=found)
