"""The Taskiq application. A Redis stream is the broker, Redis also stores the results."""

from typing import Any

from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.peers.task import TASK, hash_text


def taskiq_broker(broker: str, results: str) -> RedisStreamBroker:
    """`broker` and `results` are URLs.

    Of Taskiq's brokers for Redis, only this one gives a task of a killed worker to another one.
    """
    backend: RedisAsyncResultBackend[Any] = RedisAsyncResultBackend(results)
    found = RedisStreamBroker(broker).with_result_backend(backend)
    found.register_task(hash_in_loop, TASK)
    return found


async def hash_in_loop(text: str) -> dict[str, str]:
    """Taskiq would run a plain function in a thread, which costs more."""
    return hash_text(text)
