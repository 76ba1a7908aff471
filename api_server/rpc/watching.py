"""Writes the responses of one Watch."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any
from uuid import UUID

from api_server.domain.changes import WatchFilter
from api_server.domain.errors import JobNotFound, StoreUnavailable
from api_server.domain.job import Job
from api_server.feed.watches import End
from api_server.rpc import requests, watch_token
from api_server.rpc.answers import summary_message
from api_server.rpc.log_message import entry_message
from api_server.rpc.off_loop import encoded
from api_server.rpc.watch_stream import write_responses
from api_server.services.job_watches import JobWatches
from api_server.services.jobs import JobService
from api_server.services.watch_events import Heartbeat, Logged, Started, WatchEvent
from job_client._gen.jobs.v1 import job_pb2
from job_client._gen.jobs.v1.job_service_pb2 import (
    WatchEnded,
    WatchHeartbeat,
    WatchRequest,
    WatchResponse,
    WatchStarted,
)


class Watching:
    """Runs watches. `jobs`: where the last state of a watch of one job comes from, which is complete."""

    def __init__(self, watches: JobWatches, jobs: JobService) -> None:
        self._watches = watches
        self._jobs = jobs

    async def run(self, request: WatchRequest, context: Any) -> None:
        """Write responses until the watch ends; see write_responses."""
        wanted = requests.job_id(request.id) if request.id else requests.watch_filter(request)
        with self._watches.place():
            events = self._events(request, wanted)
            await write_responses(
                context,
                events,
                lambda event: self._response(event, wanted),
                lambda ended: WatchResponse(ended=ended),
            )

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
