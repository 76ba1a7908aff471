"""Waits for the end of jobs: the server holds the call until the job has ended.

A wait takes one of the streams of a connection, of which a gateway allows 100. Waits beyond SERVER_WAITS, and
those that a busy server refuses, read the job again and again instead; such reads share calls.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from contract_runtime.limits import JOB_SERVICE, waits_of
from job_client._gen.jobs.v1 import job_pb2
from job_client._gen.jobs.v1.job_service_pb2 import CreateRequest, GetRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client.backoff import Backoff, next_poll
from job_client.channel import telling_of_close
from job_client.errors import DeadlineExceeded, deadline_exceeded, from_call, is_transient
from job_client.job import ENDED_NUMBERS, Job, to_job

SERVER_WAITS = 50
WAIT_SECONDS = 5.0
"""How long one call waits. A server that hangs delays a wait by this time and GRACE_SECONDS at most."""
SHORTEST_WAIT = 0.5
"""A server that answers sooner does not wait, or stops. It must not be called without pauses."""
GRACE_SECONDS = 2.0
SLACK_SECONDS = 0.25
"""How long after its timeout a wait still takes an answer: the status then is better than none."""
_WAITS = waits_of(JOB_SERVICE.methods_by_name["Get"])
METADATA = ((_WAITS.header, "true"),) if _WAITS else ()
Read = Callable[[str, float], Awaitable[job_pb2.Job]]


class Waits:
    """`channel`: for calls that wait. `read`: a read that shares its call with others."""

    def __init__(self, channel: grpc.aio.Channel, read: Read) -> None:
        self._stub: Any = JobServiceStub(channel)
        self._read = read
        self._backoff = Backoff()
        self._now = asyncio.get_running_loop().time
        self._phase = random.random()  # noqa: S311 - spreads the reads of several clients, keeps no secret
        self._in_server = self._polling = 0

    async def wait(self, job_id: str, give_up: float) -> Job:
        """The job, which has ended. Raises JobNotFound, DeadlineExceeded and others."""
        if self._in_server >= SERVER_WAITS:
            return await self._poll(job_id, give_up)
        self._in_server += 1
        try:
            return await self._wait_in_server(job_id, give_up)
        finally:
            self._in_server -= 1

    async def run(self, create: CreateRequest, give_up: float, create_by: float) -> Job | None:
        """Create a job and wait for its end. `create_by`: when to give up if no answer says it is stored.

        None: the server takes no more waits and has not stored the job.
        """
        if self._in_server >= SERVER_WAITS:
            return None
        self._in_server += 1
        try:
            job = await self._held("Create", create, min(give_up, create_by), give_up)
            if job is None or job.status in ENDED_NUMBERS:
                return job and to_job(job)
            return await self._wait_in_server(create.id, give_up, job)
        finally:
            self._in_server -= 1

    async def _wait_in_server(self, job_id: str, give_up: float, job: job_pb2.Job | None = None) -> Job:
        while (begin := self._now()) < give_up:
            job = await self._held("Get", GetRequest(id=job_id), give_up, give_up, job)
            if job is not None and job.status in ENDED_NUMBERS:
                return to_job(job)
            was_held = self._now() - begin >= min(SHORTEST_WAIT, give_up - begin)
            if job is None or not was_held:
                return await self._poll(job_id, give_up)
        raise not_ended(to_job(job)) if job is not None else deadline_exceeded(job_id)

    async def _held(
        self, name: str, request: Any, answer_by: float, give_up: float, known: job_pb2.Job | None = None
    ) -> job_pb2.Job | None:
        """The job, once it has ended or the server's wait is over. None: the server takes no more waits.

        Transient errors are repeated until `answer_by`. `known`: the job as last seen.
        """
        failures, last = 0, None
        while (left := answer_by - self._now()) > 0:
            wait = min(WAIT_SECONDS, max(0.0, give_up - self._now()))
            request.wait.FromMilliseconds(round(1000 * wait))
            try:
                with telling_of_close():
                    job: job_pb2.Job = await getattr(self._stub, name)(
                        request, timeout=min(wait + GRACE_SECONDS, left + SLACK_SECONDS), metadata=METADATA
                    )
            except grpc.aio.AioRpcError as failure:
                last = from_call(failure)
            else:
                return job
            if last.reason == "TOO_MANY_WAITS":
                return None
            if not is_transient(last):
                raise last
            failures += 1
            pause = self._backoff.wait(failures, last.retry_delay or 0.0)
            await asyncio.sleep(max(0.0, min(pause, answer_by - self._now())))
        raise not_ended(to_job(known)) if known is not None else deadline_exceeded(request.id, last)

    async def _poll(self, job_id: str, give_up: float) -> Job:
        begin = self._now()
        self._polling += 1
        try:
            while (job := await self._read(job_id, give_up)).status not in ENDED_NUMBERS:
                now = self._now()
                poll = next_poll(now - begin, self._polling, now - self._phase) + self._phase
                await asyncio.sleep(min(poll, give_up) - now)
                if poll >= give_up:
                    raise not_ended(to_job(job))
            return to_job(job)
        finally:
            self._polling -= 1


def not_ended(job: Job) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"job {job.id}: the timeout is over and the job is {job.status}; it goes on",
        reason="CLIENT_DEADLINE_EXCEEDED",
        metadata={"id": job.id, "status": job.status},
    )
