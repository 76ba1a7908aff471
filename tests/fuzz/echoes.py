"""Checks that an answer fits its request. Each function yields descriptions of what is wrong."""

from collections.abc import Iterator

from google.protobuf.message import Message

from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchCreateRequest,
    BatchCreateResponse,
    BatchGetRequest,
    BatchGetResponse,
    BatchUpdateStatusRequest,
    BatchUpdateStatusResponse,
    CreateRequest,
    UpdateStatusRequest,
)


def echo_faults(request: Message, answer: Message) -> Iterator[str]:
    """A job must be the requested one, a result the reported one, and a batch must be in order."""
    match request, answer:
        case CreateRequest(), Job():
            if not _is_echo(request, answer) or request.payload != answer.payload:
                yield "the job differs from the request"
        case UpdateStatusRequest(status=Job.completed), Job():
            if request.result != answer.result:
                yield "the result differs from the report"
        case BatchCreateRequest(), BatchCreateResponse():
            yield from _creation_faults(request, answer)
        case BatchGetRequest(), BatchGetResponse():
            yield from _reading_faults(request, answer)
        case BatchUpdateStatusRequest(), BatchUpdateStatusResponse():
            yield from _count_faults(len(request.requests), len(answer.outcomes))


def _creation_faults(request: BatchCreateRequest, answer: BatchCreateResponse) -> Iterator[str]:
    yield from _count_faults(len(request.requests), len(answer.outcomes))
    for index, (item, outcome) in enumerate(zip(request.requests, answer.outcomes, strict=False)):
        if outcome.HasField("job") and not _is_echo(item, outcome.job):
            yield f"job {index} differs from its request"


def _reading_faults(request: BatchGetRequest, answer: BatchGetResponse) -> Iterator[str]:
    missing = set(answer.missing_ids)
    found = [job_id for text in request.ids if (job_id := text.lower()) not in missing]
    if [job.id for job in answer.jobs] != found:
        yield "the jobs are not the requested ones in their order"


def _is_echo(request: CreateRequest, job: Job) -> bool:
    return (request.type, dict(request.labels)) == (job.type, dict(job.labels))


def _count_faults(requests: int, outcomes: int) -> Iterator[str]:
    if requests != outcomes:
        yield f"{outcomes} outcomes for {requests} requests"
