"""JobService of the contract: decode the request, call the service, encode the answer.

Methods raise ServiceError; service_runtime/checked_calls.py turns it into a gRPC status.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.duration_pb2 import Duration

from api_server.domain.errors import JobNotFound, StoreUnavailable
from api_server.domain.job import Job, Status
from api_server.rpc import answers, page_token, requests, rest_answers
from api_server.rpc.admission import Admission
from api_server.rpc.api_document import JSON_TYPE, ApiDocument
from api_server.rpc.explanation_message import explanation_message
from api_server.rpc.log_message import log_message
from api_server.rpc.off_loop import decoded, encoded
from api_server.rpc.operation_servicer import OperationServicer
from api_server.rpc.recent_answer import RecentAnswer
from api_server.rpc.stats_message import stats_message
from api_server.rpc.types_message import types_message
from api_server.rpc.wait_time import wait_seconds
from api_server.rpc.watching import Watching
from api_server.rpc.worker_session import session_hash
from api_server.services.insight import Insight
from api_server.services.job_waits import JobWaits
from api_server.services.job_watches import JobWatches
from api_server.services.jobs import JobService
from api_server.services.live_types import LiveTypes
from api_server.services.operation_watches import OperationWatches
from api_server.services.operations import OperationService
from api_server.services.permissions import check_type
from api_server.services.read_room import ReadRoom
from api_server.services.stats import Stats
from api_server.services.type_list import TypeList
from contract_runtime.webhooks import WEBHOOK_TYPE
from job_client._gen.jobs.v1 import (
    explain_pb2,
    job_pb2,
    job_service_pb2,
    job_service_pb2_grpc,
    job_types_pb2,
    log_pb2,
    stats_pb2,
)
from service_runtime.access.principal import caller
from service_runtime.deadlines import untimed

BATCHES_AT_A_TIME = 2
READS_AT_A_TIME = 2
"""Answers with many jobs. Each may have several MiB, and needs a few times that memory while it is made."""
ENCODED_AT_A_TIME = 1
"""Threads that encode such answers. Only one thread runs Python at a time: more of them would make each
slower, and the event loop too.
"""
EXPLAINS_AT_A_TIME = 4


async def _nothing() -> None:
    """Stands for a read that was not asked for."""


def owner() -> str:
    """To whom the jobs of this call belong; "" if callers are not known."""
    present = caller()
    return "" if present is None else present.name


def types_needed(job: Job) -> tuple[str, ...]:
    """The types for which a worker is needed: the job's own, and that of its webhook."""
    return (job.type,) if job.notify is None else (job.type, WEBHOOK_TYPE)


async def _unless_known(job: Job, context: Any) -> job_pb2.Job:
    """The answer of Get: an empty one, if the caller has this state of the job already.

    Raises TypeNotAllowed.
    """
    check_type(job, caller())
    if rest_answers.is_known(context, job):
        return job_pb2.Job()
    return await encoded(job)


async def _type_list(types: TypeList) -> job_types_pb2.ListTypesResponse:
    states = await types.states()
    return await asyncio.to_thread(types_message, states, types.schemas.of)


async def _stats(stats: Stats) -> stats_pb2.StatsResponse:
    return await asyncio.to_thread(stats_message, await stats.read())


class JobServicer(  # type: ignore[misc]  # - WatchOperation writes its responses itself, as Watch does
    OperationServicer, job_service_pb2_grpc.JobServiceServicer
):
    """Each method is documented in proto/jobs/v1/job_service.proto."""

    def __init__(
        self,
        jobs: JobService,
        waits: JobWaits,
        watches: JobWatches,
        live_types: LiveTypes,
        operations: OperationService,
        operation_watches: OperationWatches,
        insight: Insight,
    ) -> None:
        super().__init__(operations, operation_watches)
        self._jobs = jobs
        self._waits = waits
        self._watching = Watching(watches, jobs)
        self._explanations = insight.explanations
        self._logs = insight.logs
        self._live_types = live_types
        # Each examines many jobs.
        self._explains = ReadRoom(EXPLAINS_AT_A_TIME)
        self._type_list = RecentAnswer(partial(_type_list, insight.types))
        self._stats = RecentAnswer(partial(_stats, insight.stats))
        self._api_document = ApiDocument(insight.types.schemas)
        # Two limits, so that new jobs never keep workers from reporting.
        self._creates, self._updates = Admission(), Admission()
        # One is prepared while another is written; more would only delay small calls.
        self._batches = asyncio.Semaphore(BATCHES_AT_A_TIME)
        self._reads = ReadRoom(READS_AT_A_TIME)
        self._encoding = asyncio.Semaphore(ENCODED_AT_A_TIME)

    async def Create(self, request: job_service_pb2.CreateRequest, context: Any) -> job_pb2.Job:
        if not request.HasField("wait"):
            return await self._stored(await self._create(request, context))
        # Before the job is stored: a refused call has no effect.
        with self._waits.place():
            position = self._waits.position
            job = await self._create(request, context)
            unended_at = None if job.status.is_terminal else position
            try:
                async with self._after_wait(job.id, request.wait, context, unended_at) as present:
                    rest_answers.note_job(context, present)
                    return await self._stored(present)
            except (StoreUnavailable, JobNotFound):
                # The job is stored, and an error would leave that open. (JOB_RETENTION may delete it soon.)
                return await self._stored(job)

    async def _create(self, request: job_service_pb2.CreateRequest, context: Any) -> Job:
        key = requests.idempotency_key(context.invocation_metadata(), request)
        with self._creates.admit(request.ByteSize()) as size:
            new_job = partial(requests.new_job, owner=owner())
            job, is_replay = await self._jobs.create_or_replay(await decoded(new_job, request, size), key)
        rest_answers.note_created(context, job, is_replay=is_replay)
        return job

    async def _stored(self, job: Job) -> job_pb2.Job:
        """The answer of Create, with a warning if nobody takes the job."""
        message = await encoded(job)
        if job.status is Status.QUEUED and (warnings := await self._live_types.warnings(types_needed(job))):
            message.warnings.extend(warnings)
        return message

    async def BatchCreate(
        self, request: job_service_pb2.BatchCreateRequest, context: Any
    ) -> job_service_pb2.BatchCreateResponse:
        with self._creates.admit(request.ByteSize()) as size:
            async with self._batches:
                new_jobs = partial(requests.new_jobs, owner=owner())
                outcomes = await self._jobs.create_batch(await decoded(new_jobs, request, size))
        queued = (each for each in outcomes if isinstance(each, Job) and each.status is Status.QUEUED)
        waiting = {job_type for job in queued for job_type in types_needed(job)}
        return answers.created_message(outcomes, await self._live_types.warnings(waiting))

    async def Get(self, request: job_service_pb2.GetRequest, context: Any) -> job_pb2.Job:
        job_id = requests.job_id(request.id)
        if not request.HasField("wait"):
            async with self._jobs.reading(job_id) as job:
                return await _unless_known(job, context)
        with self._waits.place():
            async with self._after_wait(job_id, request.wait, context) as job:
                return await _unless_known(job, context)

    @asynccontextmanager
    async def _after_wait(
        self, job_id: UUID, wait: Duration, context: Any, unended_at: int | None = None
    ) -> AsyncIterator[Job]:
        """The job when it has ended, or the time is over, to be converted inside the block.

        `unended_at`: see JobWaits.until_ended.
        """
        with untimed():
            ended = await self._waits.until_ended(job_id, wait_seconds(wait, context), unended_at)
        if ended is not None:
            yield self._jobs.shown(ended)
            return
        async with self._jobs.reading(job_id) as job:
            yield job

    async def BatchGet(
        self, request: job_service_pb2.BatchGetRequest, context: Any
    ) -> job_service_pb2.BatchGetResponse:
        job_ids = [requests.job_id(text) for text in request.ids]
        view = requests.VIEWS[request.view]
        async with self._reads.place():
            jobs = await self._jobs.get_batch(job_ids, view)
            async with self._encoding:
                return await asyncio.to_thread(answers.found_message, job_ids, jobs, view)

    async def List(self, request: job_service_pb2.ListRequest, context: Any) -> job_service_pb2.ListResponse:
        wanted, oldest_first = requests.job_filter(request), request.oldest_first
        asked = requests.page_request(request, page_token.decode(request.page_token, wanted, oldest_first))
        async with self._reads.place():
            page, count = await asyncio.gather(
                self._jobs.page(wanted, asked),
                self._jobs.count(wanted) if request.include_total_size else _nothing(),
            )
            async with self._encoding:
                return await asyncio.to_thread(
                    answers.list_message,
                    page,
                    lambda after: page_token.encode(after, wanted, oldest_first),
                    asked.view,
                    count,
                )

    async def UpdateStatus(self, request: job_service_pb2.UpdateStatusRequest, context: Any) -> job_pb2.Job:
        metadata = context.invocation_metadata()
        key = requests.key_value(metadata)
        convert = partial(requests.update, session=session_hash(metadata))
        with self._updates.admit(request.ByteSize()) as size:
            job, is_replay = await self._jobs.update_or_replay(await decoded(convert, request, size), key)
        rest_answers.note_job(context, job, is_replay=is_replay)
        return await encoded(job)

    async def BatchUpdateStatus(
        self, request: job_service_pb2.BatchUpdateStatusRequest, context: Any
    ) -> job_service_pb2.BatchUpdateStatusResponse:
        convert = partial(requests.updates, session=session_hash(context.invocation_metadata()))
        with self._updates.admit(request.ByteSize()) as size:
            updates = await decoded(convert, request, size)
            outcomes = await self._jobs.update_batch(updates, caller())
        return job_service_pb2.BatchUpdateStatusResponse(
            outcomes=[answers.outcome_message(outcome) for outcome in outcomes]
        )

    async def Cancel(self, request: job_service_pb2.CancelRequest, context: Any) -> job_pb2.Job:
        job = await self._jobs.cancel(requests.job_id(request.id), request.reason, caller())
        rest_answers.note_job(context, job)
        return await encoded(job)

    async def Retry(self, request: job_service_pb2.RetryRequest, context: Any) -> job_pb2.Job:
        expire_time = requests.new_expire_time(request)
        job = await self._jobs.retry(requests.job_id(request.id), expire_time, caller())
        rest_answers.note_job(context, job)
        return await encoded(job)

    async def Delete(
        self, request: job_service_pb2.DeleteRequest, context: Any
    ) -> job_service_pb2.DeleteResponse:
        job_id = requests.job_id(request.id)
        await self._jobs.delete(job_id)
        # Also if the job did not exist: an earlier call may have failed here.
        await self._logs.delete(job_id)
        return job_service_pb2.DeleteResponse()

    async def Explain(self, request: explain_pb2.ExplainRequest, context: Any) -> explain_pb2.ExplainResponse:
        async with self._explains.place():
            explanation = await self._explanations.explain(requests.job_id(request.id))
        return explanation_message(explanation)

    async def ListTypes(
        self, request: job_types_pb2.ListTypesRequest, context: Any
    ) -> job_types_pb2.ListTypesResponse:
        return await self._type_list.get()

    async def Stats(self, request: stats_pb2.StatsRequest, context: Any) -> stats_pb2.StatsResponse:
        return await self._stats.get()

    async def Watch(  # type: ignore[override]  # - it writes its responses itself, to notice slow readers
        self, request: job_service_pb2.WatchRequest, context: Any
    ) -> None:
        await self._watching.run(request, context)

    async def GetLog(self, request: log_pb2.GetLogRequest, context: Any) -> log_pb2.GetLogResponse:
        return log_message(await self._logs.read(requests.job_id(request.id)), request.after_number)

    async def GetApiDocument(self, request: job_service_pb2.GetApiDocumentRequest, context: Any) -> HttpBody:
        document = await self._api_document.get()
        if rest_answers.is_document_known(context, document.tag):
            return HttpBody()
        return HttpBody(content_type=JSON_TYPE, data=document.content)
