"""Places in the API server where it can be made to die: between two steps that belong together.

An order is a file named like the point. The process that comes there first takes the file away and kills itself.
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
    """Before or after a method does its work, `worth_it` says of the result whether it did any."""

    owner: str
    method: str
    moment: Literal["before", "after"]
    worth_it: Callable[[Any], object] = lambda _result: True


POINTS: Mapping[str, Point] = {
    "stored, not told": Point("api_server.adapters.mongo.jobs.MongoJobStore", "insert_all", "after"),
    "several stored, not told": Point(
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
    "published, not noted": Point("api_server.adapters.kafka.publisher.KafkaPublisher", "publish", "after"),
    "published, not marked": Point("api_server.adapters.mongo.due.MongoDueStore", "mark_published", "before"),
    "steps stored, not answered": Point("api_server.adapters.mongo.jobs.MongoJobStore", "apply", "after"),
    "leases ended, not published": Point(
        "api_server.adapters.mongo.due.MongoDueStore", "expire_leases", "after", worth_it=bool
    ),
}


WHEN_MARKED = "published, not marked"
WHEN_LEASES_END = "leases ended, not published"
ON_THE_WAY = tuple(point for point in POINTS if point not in (WHEN_MARKED, WHEN_LEASES_END))
"""Those that every load comes to."""


def order(folder: Path, point: str) -> None:
    """Let the next process that comes to `point` die there."""
    (folder / point).touch()


def is_ordered(folder: Path, point: str) -> bool:
    """Whether nobody has died there since."""
    return (folder / point).exists()


def arm(folder: str) -> None:
    """Put the points into this process's classes."""
    for name, point in POINTS.items():
        module, _, owner = point.owner.rpartition(".")
        kind = getattr(import_module(module), owner)
        setattr(kind, point.method, _deadly(getattr(kind, point.method), point, os.path.join(folder, name)))  # noqa: PTH118 - see _die_if_ordered


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
        os.unlink(file)  # noqa: PTH108 - on every job's way
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
