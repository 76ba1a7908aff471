"""The hand-overs on a job's way, and the functions where they are seen."""

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from api_server.domain.job import Status
from job_client._gen.jobs.v1 import job_pb2


class Hop(Enum):
    """In the order of a job's way."""

    CALLED = "the client calls Create"
    CREATE = "the call is in the API server"
    INSERT = "the insert begins"
    INSERTED = "the insert is done"
    PUBLISH = "the record goes to Kafka"
    POLLED = "the worker has the record"
    CLAIM = "the worker asks for the claim"
    CLAIM_CALL = "the claim's call is in the API server"
    CLAIM_WRITE = "the claim's write begins"
    CLAIM_WRITTEN = "the claim's write is done"
    CLAIMED = "the worker has the claim"
    DONE = "the handler has ended"
    REPORT_CALL = "the report's call is in the API server"
    REPORT_WRITE = "the report's write begins"
    REPORT_WRITTEN = "the report's write is done"
    TOLD = "the call that waits knows of the end"
    ANSWERED = "the client has the result"


Seen = Iterable[tuple[Hop, object]]
"""Hand-overs, each with the id of its job."""
Arguments = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A function, as `module:name`. `before` gets its arguments, `after` its arguments and its result."""

    target: str
    before: Callable[[Arguments], Seen] = lambda _: ()
    after: Callable[[Arguments, Any], Seen] = lambda *_: ()


def _updates(arguments: Arguments) -> Iterator[tuple[Hop, object]]:
    """BatchUpdateStatus(self, request, context)."""
    for update in arguments[1].requests:
        if update.status == job_pb2.Job.processing:
            yield Hop.CLAIM_CALL, update.id
        elif update.status == job_pb2.Job.completed:
            yield Hop.REPORT_CALL, update.id


def _writes(claim: Hop, report: Hop) -> Callable[..., Seen]:
    """_apply_all(self, encoded)."""
    hops = {Status.PROCESSING: claim, Status.COMPLETED: report}

    def seen(arguments: Arguments, _outcomes: object = None) -> Iterator[tuple[Hop, object]]:
        for each in arguments[1]:
            if hop := hops.get(each.transition.change.status):
                yield hop, each.transition.job_id

    return seen


API_SERVER = (
    Point(
        "api_server.rpc.job_servicer:JobServicer.Create",
        # Not seen if the server is to choose the job's id.
        before=lambda arguments: [(Hop.CREATE, arguments[1].id)] if arguments[1].id else [],
    ),
    Point("api_server.rpc.job_servicer:JobServicer.BatchUpdateStatus", before=_updates),
    Point(
        "api_server.services.job_waits:JobWaits.until_ended",
        after=lambda arguments, _: [(Hop.TOLD, arguments[1])],
    ),
    Point(
        "api_server.adapters.mongo.jobs:MongoJobStore._insert",
        before=lambda arguments: [(Hop.INSERT, job_id) for job_id in arguments[1]],
        after=lambda arguments, _: [(Hop.INSERTED, job_id) for job_id in arguments[1]],
    ),
    Point(
        "api_server.adapters.mongo.jobs:MongoJobStore._apply_all",
        before=_writes(Hop.CLAIM_WRITE, Hop.REPORT_WRITE),
        after=_writes(Hop.CLAIM_WRITTEN, Hop.REPORT_WRITTEN),
    ),
    Point(
        "api_server.adapters.kafka.publisher:KafkaPublisher.publish",
        before=lambda arguments: [(Hop.PUBLISH, each.job_id) for each in arguments[1]],
    ),
)
WORKER = (
    Point("worker_service.claiming.intake:decode_record", after=lambda _, record: [(Hop.POLLED, record.id)]),
    Point(
        "worker_service.claiming.claimer:Claimer._request",
        before=lambda arguments: [(Hop.CLAIM, arguments[1].record.id)],
    ),
    Point(
        "worker_service.claiming.claimer:Claimer._start",
        before=lambda arguments: [(Hop.CLAIMED, arguments[1].record.id)],
    ),
    Point(
        "worker_service.reporting.reporter:Reporter.put",
        before=lambda arguments: [(Hop.DONE, arguments[1].id)],
    ),
)
POINTS = {"api_server": API_SERVER, "worker_service": WORKER}
"""By the service's package."""


def place_of(point: Point) -> tuple[Any, str]:
    """The module or class that has the function, and the function's name there."""
    module, _, path = point.target.partition(":")
    *owners, name = path.split(".")
    return functools.reduce(getattr, owners, importlib.import_module(module)), name


def wrap(point: Point, note: Callable[[Seen], None]) -> None:
    """From now on `note` gets what is seen at this point."""
    owner, name = place_of(point)
    setattr(owner, name, _wrapped(getattr(owner, name), point, note))


def _wrapped(function: Any, point: Point, note: Callable[[Seen], None]) -> Any:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def call(*arguments: Any) -> Any:
            note(point.before(arguments))
            result = await function(*arguments)
            note(point.after(arguments, result))
            return result
    else:

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            note(point.before(arguments))
            result = function(*arguments)
            note(point.after(arguments, result))
            return result

    return call
