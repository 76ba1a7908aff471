"""Writes the responses of one Watch."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any
from uuid import UUID

from api_server.domain.changes import WatchFilter
from api_server.domain.errors import JobNotFound, SlowReader, StoreUnavailable
from api_server.domain.job import Job
from api_server.feed.watches import End
from api_server.rpc import requests, watch_token
from api_server.rpc.answers import summary_message
from api_server.rpc.log_message import entry_message
from api_server.rpc.off_loop import encoded
from api_server.services.job_watches import JobWatches
from api_server.services.jobs import JobService
from api_server.services.watch_events import Heartbeat, Logged, Started, WatchEvent
from contract_runtime.errors import ServiceError
from job_client._gen.jobs.v1 import job_pb2
from job_client._gen.jobs.v1.job_service_pb2 import (
    WatchEnded,
    WatchHeartbeat,
    WatchRequest,
    WatchResponse,
    WatchStarted,
)
from service_runtime.rest_context import rest_of

WRITE_SECONDS = 60.0
"""A caller that takes no response for so long is dropped."""


class Watching:
    """Runs watches. `jobs`: where the last state of a watch of one job comes from, which is complete."""

    def __init__(self, watches: JobWatches, jobs: JobService) -> None:
        self._watches = watches
        self._jobs = jobs

    async def run(self, request: WatchRequest, context: Any) -> None:
        """Write responses until the watch ends. Before the first one it raises ServiceError.

        Later a caller of the REST API could not see an error: then the last response tells why it ends.
        For HEAD the watch ends with the first response, because the caller waits only for the headers.
        """
        rest = rest_of(context)
        is_head = rest is not None and rest.is_head
        has_begun = False
        wanted = requests.job_id(request.id) if request.id else requests.watch_filter(request)
        with self._watches.place():
            try:
                async with aclosing(self._events(request, wanted)) as events:
                    async for event in events:
                        response = await self._response(event, wanted)
                        has_begun = True
                        await _write(context, response)
                        if is_head:
                            return
            except SlowReader:
                raise
            except ServiceError as error:
                if not has_begun:
                    raise
                ended = WatchEnded(reason=error.reason, message=error.message)
                await _write(context, WatchResponse(ended=ended))

    def _events(self, request: WatchRequest, wanted: UUID | WatchFilter) -> AsyncGenerator[WatchEvent, None]:
        token = request.resume_token
        if isinstance(wanted, UUID):
            place = watch_token.decode_place(token, wanted, has_log=request.include_log)
            return self._watches.of_job(wanted, place)
        return self._watches.of_filter(wanted, watch_token.decode_position(token, wanted))

    async def _response(self, event: WatchEvent, wanted: UUID | WatchFilter) -> WatchResponse:
        response = WatchResponse(resume_token=watch_token.encode(event.resume_from, wanted))
        match event.content:
            case Job() as job:
                response.job.CopyFrom(await self._state(job, wanted))
            case Logged(entries):
                response.log.entries.extend(map(entry_message, entries))
            case Started(is_truncated):
                response.started.CopyFrom(WatchStarted(truncated=is_truncated))
            case Heartbeat():
                response.heartbeat.CopyFrom(WatchHeartbeat())
            case End() as why:
                response.ended.CopyFrom(WatchEnded(reason=why.name, message=why.value))
        return response

    async def _state(self, job: Job, wanted: UUID | WatchFilter) -> job_pb2.Job:
        if isinstance(wanted, UUID) and job.status.is_terminal:
            # A Retry may have come in between, or the end of its retention.
            with suppress(JobNotFound, StoreUnavailable):
                async with self._jobs.reading(job.id) as complete:
                    if complete.revision == job.revision:
                        return await encoded(complete)
        return summary_message(self._jobs.shown(job))


async def _write(context: Any, response: WatchResponse) -> None:
    """Raises SlowReader."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            await context.write(response)
    except TimeoutError:
        raise SlowReader from None
