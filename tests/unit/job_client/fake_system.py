"""A server with the calls that the clients make, for what needs no database."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from grpc_status import rpc_status

from api_server.domain.errors import TooManyWaits
from contract_runtime.limits import JOB_SERVICE, WORKER_SERVICE
from contract_runtime.statuses import error_to_status
from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2, job_types_pb2, log_pb2, worker_service_pb2

FIRST, SECOND = "first", "second"
"""The resume tokens of a watch."""
STUCK = "01a212ed-8077-7e02-b9cc-e18b1c00cbbf"
"""The id of an operation that does not end."""
REFUSED = error_to_status(TooManyWaits(1))


class FakeSystem:
    """Completes each job when a call waits for it: the result is the payload. Type `broken` fails.

    Type `stuck` never ends, and a watch of it goes on. `takes_waits`: False, and the calls that wait are
    refused as by a busy server. `requests`: what came, with the name of the call; `metadata`: the latest
    call's.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, job_pb2.Job] = {}
        self.requests: list[tuple[str, Any]] = []
        self.metadata: dict[str, Any] = {}
        self.takes_waits = True
        self.operation_breaks = False

    def create(self, request: Any) -> job_pb2.Job:
        job = job_pb2.Job(
            id=request.id, type=request.type, status=job_pb2.Job.queued, payload=request.payload, revision=1
        )
        self.jobs.setdefault(request.id, job)
        return self.end(request.id) if request.HasField("wait") else self.jobs[request.id]

    def batch_create(self, request: Any) -> Any:
        jobs = [self.create(each) for each in request.requests]
        return job_service_pb2.BatchCreateResponse(
            outcomes=[job_service_pb2.CreateOutcome(job=job) for job in jobs]
        )

    def get(self, request: Any) -> job_pb2.Job:
        return self.end(request.id) if request.HasField("wait") else self.jobs[request.id]

    def batch_get(self, request: Any) -> Any:
        return job_service_pb2.BatchGetResponse(jobs=[self.jobs[each] for each in request.ids])

    def list_jobs(self, request: Any) -> Any:
        """Pages of at most two jobs."""
        start = int(request.page_token or 0)
        size = min(request.page_size, 2)
        found = list(self.jobs.values())
        token = str(start + size) if start + size < len(found) else ""
        return job_service_pb2.ListResponse(jobs=found[start : start + size], next_page_token=token)

    def cancel(self, request: Any) -> job_pb2.Job:
        self.jobs[request.id].status = job_pb2.Job.cancelled
        return self.jobs[request.id]

    def list_types(self, _request: Any) -> Any:
        return job_types_pb2.ListTypesResponse(types=[job_types_pb2.JobType(type="compute", live_workers=2)])

    def stop(self, request: Any) -> Any:
        return worker_service_pb2.StopResponse(consuming=not request.all, stopped_types=[request.type])

    async def watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        """The first call is cut after one state; the next begins after it.

        With the log, the first call tells two entries and the next one the second again, and a third one.
        """
        self.requests.append(("Watch", job_service_pb2.WatchRequest.FromString(request.SerializeToString())))
        job = self.jobs[request.id]
        if job.type == "stuck":
            yield job_service_pb2.WatchResponse(job=job, resume_token=FIRST)
            await asyncio.sleep(60)
        if not request.resume_token:
            if request.include_log:
                yield _log(1, 2)
            yield job_service_pb2.WatchResponse(job=job, resume_token=FIRST)
            return
        if request.include_log:
            yield _log(2, 3)
        yield job_service_pb2.WatchResponse(job=self.end(request.id), resume_token=SECOND)
        ended = job_service_pb2.WatchEnded(reason="JOB_ENDED")
        yield job_service_pb2.WatchResponse(ended=ended, resume_token=SECOND)

    async def watch_operation(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The first call is cut after one state, the second has an error, and the third tells the end.

        `operation_breaks`: the third breaks after it. Operation STUCK goes on.
        """
        self.requests.append(("WatchOperation", request))
        number = len([name for name, _ in self.requests if name == "WatchOperation"])
        if number == 2:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
        yield _operation(request.id, changed=number)
        yield job_service_pb2.WatchOperationResponse(heartbeat=job_service_pb2.WatchHeartbeat())
        if request.id == STUCK:
            await asyncio.sleep(60)
        if number == 1:
            return
        yield _operation(request.id, changed=9, state=job_service_pb2.Operation.finished)
        if self.operation_breaks:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the server stops")
        ended = job_service_pb2.WatchEnded(reason="OPERATION_ENDED")
        yield job_service_pb2.WatchOperationResponse(ended=ended)

    def end(self, job_id: str) -> job_pb2.Job:
        job = self.jobs[job_id]
        job.revision = 2
        if job.type == "broken":
            job.status = job_pb2.Job.failed
            job.error.CopyFrom(job_pb2.JobError(code=13, reason="HANDLER_ERROR", message="it broke"))
        else:
            job.status = job_pb2.Job.completed
            job.result.CopyFrom(job.payload or dict_to_struct({}))
        return job

    def is_stuck(self, request: Any) -> bool:
        job = self.jobs.get(request.id, request)
        return bool(job.type == "stuck")

    def handlers(self) -> list[Any]:
        return [_handlers(self, service) for service in (JOB_SERVICE, WORKER_SERVICE)]


NAMES: Mapping[str, str] = {
    "Create": "create",
    "BatchCreate": "batch_create",
    "Get": "get",
    "BatchGet": "batch_get",
    "List": "list_jobs",
    "Cancel": "cancel",
    "ListTypes": "list_types",
    "Stop": "stop",
}


def _log(*numbers: int) -> Any:
    entries = [log_pb2.LogEntry(number=each, kind=log_pb2.LogEntry.line) for each in numbers]
    log = job_service_pb2.WatchLog(entries=entries)
    return job_service_pb2.WatchResponse(log=log, resume_token=FIRST)


def _operation(operation_id: str, **fields: Any) -> Any:
    state = {"state": job_service_pb2.Operation.running, **fields}
    operation = job_service_pb2.Operation(id=operation_id, matched=9, **state)
    return job_service_pb2.WatchOperationResponse(operation=operation)


def _handlers(system: FakeSystem, service: Any) -> Any:
    handlers = {
        name: _unary(system, method) for name, method in service.methods_by_name.items() if name in NAMES
    }
    streams = {"Watch": system.watch, "WatchOperation": system.watch_operation}
    for name in streams.keys() & service.methods_by_name.keys():
        handlers[name] = grpc.unary_stream_rpc_method_handler(
            streams[name],
            request_deserializer=GetMessageClass(service.methods_by_name[name].input_type).FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _unary(system: FakeSystem, method: Any) -> Any:
    async def call(request: Any, context: Any) -> Any:
        system.requests.append((method.name, request))
        system.metadata = dict(context.invocation_metadata())
        waits = "wait" in method.input_type.fields_by_name and request.HasField("wait")
        if waits and not system.takes_waits:
            await context.abort_with_status(rpc_status.to_status(REFUSED))
        if waits and system.is_stuck(request):
            await asyncio.sleep(60)
        try:
            return getattr(system, NAMES[method.name])(request)
        except KeyError as missing:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no job {missing}")

    return grpc.unary_unary_rpc_method_handler(
        call,
        request_deserializer=GetMessageClass(method.input_type).FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )


@asynccontextmanager
async def running(
    system: FakeSystem, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[str]:
    """Serve the system. Yields its address, for jobs and for workers."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(system.handlers()))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await asyncio.shield(server.stop(None))
