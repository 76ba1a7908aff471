"""Starts the peers. Each has its own servers, and a worker with two processes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from bench.peers.celery_load import CeleryLoad
from bench.peers.dramatiq_load import DramatiqLoad
from bench.peers.peer import BROKER, RESULTS, Peer, redis_server, redis_url
from bench.peers.taskiq_load import TaskiqLoad
from bench.servers import servers
from local_stack import mongodb
from local_stack.part import Part
from local_stack.services import PYTHON_PATH
from local_stack.settings import StackSettings

PROCESSES = 2
BROKER_DATABASE, RESULT_DATABASE = 0, 1
"""Databases in Redis. The second holds nothing but results, so that its keys can be counted."""


@contextmanager
def celery(directory: Path) -> Iterator[Peer]:
    """Redis is the broker, MongoDB stores the results."""
    settings = StackSettings.with_free_ports(directory)
    broker, results = redis_url(settings, BROKER_DATABASE), mongodb.uri(settings).replace("/?", "/celery?")
    load = CeleryLoad(broker, results)
    worker = Part(
        name="celery",
        number=1,
        command=(
            *(sys.executable, "-m", "celery", "--app", "bench.peers.celery_worker", "worker"),
            *("--pool", "prefork", "--concurrency", str(PROCESSES)),
        ),
        ports={},
        is_ready=load.worker_answers,
        environment={**PYTHON_PATH, BROKER: broker, RESULTS: results},
    )
    with servers(directory) as running:
        running.start(mongodb.mongodb(settings), redis_server(settings, directory))
        running.start(worker)
        yield Peer(running, load)


@contextmanager
def taskiq(directory: Path, callers: int) -> Iterator[Peer]:
    """A Redis stream is the broker, Redis stores the results. `callers` submit at a time."""
    settings = StackSettings.with_free_ports(directory)
    broker, results = redis_url(settings, BROKER_DATABASE), redis_url(settings, RESULT_DATABASE)
    worker = Part(
        name="taskiq",
        number=1,
        command=(
            *(sys.executable, "-m", "taskiq", "worker", "bench.peers.taskiq_worker:broker"),
            *("--workers", str(PROCESSES), "--ack-type", "when_saved", "--log-level", "WARNING"),
        ),
        ports={},
        is_ready=lambda: _consumers(broker) == PROCESSES,
        environment={**PYTHON_PATH, BROKER: broker, RESULTS: results},
    )
    with servers(directory) as running:
        running.start(redis_server(settings, directory))
        running.start(worker)
        yield Peer(running, TaskiqLoad(broker, results, callers))


@contextmanager
def dramatiq(directory: Path) -> Iterator[Peer]:
    """Redis is the broker and stores the results."""
    settings = StackSettings.with_free_ports(directory)
    broker, results = redis_url(settings, BROKER_DATABASE), redis_url(settings, RESULT_DATABASE)
    worker = Part(
        name="dramatiq",
        number=1,
        command=(
            *(sys.executable, "-m", "dramatiq", "bench.peers.dramatiq_worker:broker"),
            *("--processes", str(PROCESSES)),
        ),
        ports={},
        is_ready=lambda: _heartbeats(broker) == PROCESSES,
        environment={**PYTHON_PATH, BROKER: broker, RESULTS: results},
    )
    with servers(directory) as running:
        running.start(redis_server(settings, directory))
        running.start(worker)
        yield Peer(running, DramatiqLoad(broker, results))


def _consumers(broker: str) -> int:
    """How many of Taskiq's processes read the stream."""
    with redis.Redis.from_url(broker) as client:
        try:
            return len(client.xinfo_consumers("taskiq", "taskiq"))
        except redis.ResponseError:
            # There is no stream yet.
            return 0


def _heartbeats(broker: str) -> int:
    """How many of Dramatiq's processes read the queue."""
    with redis.Redis.from_url(broker) as client:
        return int(client.zcard("dramatiq:__heartbeats__"))
