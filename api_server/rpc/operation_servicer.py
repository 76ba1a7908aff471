"""The calls of JobService about operations on many jobs."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from api_server.domain.listing import JobCount, JobFilter
from api_server.domain.operation import Kind, Operation
from api_server.feed.watches import End
from api_server.rpc import requests
from api_server.rpc.answers import STATUS_NUMBERS, fill_time
from api_server.rpc.watch_stream import write_responses
from api_server.services.operation_watches import OperationWatches
from api_server.services.operations import OperationService
from api_server.services.watch_events import Heartbeat
from contract_runtime.errors import InvalidArgument, Violation
from job_client._gen.jobs.v1 import job_service_pb2

DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 20, 100


class OperationServicer:
    """Part of JobServicer. Each method is documented in proto/jobs/v1/job_service.proto."""

    def __init__(self, operations: OperationService, watches: OperationWatches) -> None:
        self._operations = operations
        self._operation_watches = watches

    async def BulkCancel(
        self, request: job_service_pb2.BulkCancelRequest, context: Any
    ) -> job_service_pb2.Operation:
        wanted = _wanted(request.filter)
        return await self._begin(Kind.BULK_CANCEL, wanted, request.reason, is_dry_run=request.dry_run)

    async def BulkRetry(
        self, request: job_service_pb2.BulkRetryRequest, context: Any
    ) -> job_service_pb2.Operation:
        return await self._begin(Kind.BULK_RETRY, _wanted(request.filter), "", is_dry_run=request.dry_run)

    async def GetOperation(
        self, request: job_service_pb2.GetOperationRequest, context: Any
    ) -> job_service_pb2.Operation:
        return operation_message(await self._operations.get(UUID(request.id)))

    async def ListOperations(
        self, request: job_service_pb2.ListOperationsRequest, context: Any
    ) -> job_service_pb2.ListOperationsResponse:
        size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
        after = UUID(request.page_token) if request.page_token else None
        page = await self._operations.page(after, size)
        return job_service_pb2.ListOperationsResponse(
            operations=map(operation_message, page.operations),
            next_page_token=str(page.next_after) if page.next_after else "",
        )

    async def CancelOperation(
        self, request: job_service_pb2.CancelOperationRequest, context: Any
    ) -> job_service_pb2.Operation:
        return operation_message(await self._operations.cancel(UUID(request.id)))

    async def WatchOperation(self, request: job_service_pb2.WatchOperationRequest, context: Any) -> None:
        with self._operation_watches.place():
            events = self._operation_watches.of(UUID(request.id))
            await write_responses(
                context,
                events,
                watch_response,
                lambda ended: job_service_pb2.WatchOperationResponse(ended=ended),
            )

    async def _begin(
        self, kind: Kind, wanted: JobFilter, reason: str, *, is_dry_run: bool
    ) -> job_service_pb2.Operation:
        if is_dry_run:
            return preview_message(kind, wanted, reason, await self._operations.preview(kind, wanted))
        return operation_message(await self._operations.begin(kind, wanted, reason))


async def watch_response(event: Operation | Heartbeat | End) -> job_service_pb2.WatchOperationResponse:
    """An operation that goes on is told without its refusals."""
    response = job_service_pb2.WatchOperationResponse()
    match event:
        case Operation():
            shown = event if event.has_ended else replace(event, refusals=())
            response.operation.CopyFrom(operation_message(shown))
        case Heartbeat():
            response.heartbeat.CopyFrom(job_service_pb2.WatchHeartbeat())
        case why:
            response.ended.CopyFrom(job_service_pb2.WatchEnded(reason=why.name, message=why.value))
    return response


def _wanted(message: job_service_pb2.JobFilter) -> JobFilter:
    """Raises InvalidArgument, which names the field inside the request."""
    try:
        return requests.job_filter(message)
    except InvalidArgument as error:
        raise InvalidArgument(
            [Violation(f"filter.{each.field}", each.rule, each.description) for each in error.violations]
        ) from None


def operation_message(operation: Operation) -> job_service_pb2.Operation:
    message = preview_message(operation.kind, operation.wanted, operation.reason, operation.matched)
    message.id = str(operation.id)
    message.state = job_service_pb2.Operation.State.Value(operation.state.value)
    message.changed, message.refused = operation.changed, operation.refused
    for each in operation.refusals:
        message.refusals.add(job_id=str(each.job_id), reason=each.reason, message=each.message)
    fill_time(message.create_time, operation.create_time)
    fill_time(message.update_time, operation.update_time)
    if operation.end_time is not None:
        fill_time(message.end_time, operation.end_time)
    return message


def preview_message(
    kind: Kind, wanted: JobFilter, reason: str, matched: JobCount
) -> job_service_pb2.Operation:
    """An operation that was not begun."""
    return job_service_pb2.Operation(
        kind=job_service_pb2.Operation.Kind.Value(kind.value),
        filter=_filter_message(wanted),
        reason=reason,
        matched=matched.count,
        matched_capped=matched.is_capped,
    )


def _filter_message(wanted: JobFilter) -> job_service_pb2.JobFilter:
    message = job_service_pb2.JobFilter(
        statuses=sorted(STATUS_NUMBERS[status] for status in wanted.statuses),
        types=sorted(wanted.types),
        labels=sorted(f"{key}={value}" for key, value in wanted.labels.items()),
        label_keys=sorted(wanted.label_keys),
        error_reasons=sorted(wanted.error_reasons),
        worker_ids=sorted(wanted.worker_ids),
    )
    for name, time in (
        ("create_time_from", wanted.created_from),
        ("create_time_before", wanted.created_before),
        ("end_time_from", wanted.ended_from),
        ("end_time_before", wanted.ended_before),
    ):
        if time is not None:
            fill_time(getattr(message, name), time)
    return message
