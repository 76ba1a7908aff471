"""Points in the API server where a test can kill it: between two steps that belong together.

A test orders a crash by a file with the name of the point. The first process that reaches the point removes
the file and kills itself.
"""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Point:
    """Before or after a method's work. `worth_it` tells from the result whether the method did any work."""

    owner: str
    method: str
    moment: Literal["before", "after"]
    worth_it: Callable[[Any], object] = lambda _result: True


POINTS: Mapping[str, Point] = {
    "stored, not returned": Point("api_server.adapters.mongo.jobs.MongoJobStore", "insert_all", "after"),
    "several stored, not returned": Point(
        "api_server.adapters.mongo.jobs.MongoJobStore",
        "insert_all",
        "after",
        worth_it=lambda outcomes: len(outcomes) > 1,
    ),
    "stored, not queued for Kafka": Point(
        "api_server.dispatch.dispatcher.QueuedDispatcher", "offer", "before"
    ),
    "queued for Kafka, not answered": Point(
        "api_server.services.job_groups.JobGroups", "insert_all", "after"
    ),
    "answered, not published": Point(
        "api_server.adapters.kafka.publisher.KafkaPublisher", "publish", "before"
    ),
    "published, not recorded": Point(
        "api_server.adapters.kafka.publisher.KafkaPublisher", "publish", "after"
    ),
    "published, not marked": Point("api_server.adapters.mongo.due.MongoDueStore", "mark_published", "before"),
    "updates stored, not answered": Point("api_server.adapters.mongo.jobs.MongoJobStore", "apply", "after"),
    "leases ended, not published": Point(
        "api_server.adapters.mongo.due.MongoDueStore",
        "expire_leases",
        "after",
        worth_it=lambda ended: ended.count,
    ),
}


WHEN_MARKED = "published, not marked"
WHEN_LEASES_END = "leases ended, not published"
ALWAYS_REACHED = tuple(point for point in POINTS if point not in (WHEN_MARKED, WHEN_LEASES_END))
"""The points that every load reaches."""


def order(folder: Path, point: str) -> None:
    """Kill the next process that reaches `point`."""
    (folder / point).touch()


def is_ordered(folder: Path, point: str) -> bool:
    """Whether no process has died at `point` since the order."""
    return (folder / point).exists()


def arm(folder: str) -> None:
    """Patch this process's classes so that the points work."""
    for name, point in POINTS.items():
        module, _, owner = point.owner.rpartition(".")
        kind = getattr(import_module(module), owner)
        method = getattr(kind, point.method)
        file = os.path.join(folder, name)  # noqa: PTH118 - _die_if_ordered needs a string
        setattr(kind, point.method, _deadly(method, point, file))


def _deadly(method: Callable[..., Any], point: Point, file: str) -> Callable[..., Any]:
    if point.moment == "before":

        @wraps(method)
        def before(*arguments: Any, **named: Any) -> Any:
            _die_if_ordered(file)
            return method(*arguments, **named)

        return before

    @wraps(method)
    async def after(*arguments: Any, **named: Any) -> Any:
        result = await method(*arguments, **named)
        if point.worth_it(result):
            _die_if_ordered(file)
        return result

    return after


def _die_if_ordered(file: str) -> None:
    try:
        os.unlink(file)  # noqa: PTH108 - faster than Path, and runs for every job
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
