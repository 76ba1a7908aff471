"""The calls of an open client: jobs go out as Create or BatchCreate, and come back by Get or BatchGet."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import grpc

from contract_runtime.limits import JOB_SERVICE
from job_client._gen.jobs.v1 import job_pb2
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchCreateResponse,
    BatchGetRequest,
    CreateOutcome,
    GetRequest,
)
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client.batching import Batcher, BatcherLimits
from job_client.channel import hedged, open_channel
from job_client.connection import Connection
from job_client.errors import JobClientError, from_status, not_found
from job_client.job import Job, to_job
from job_client.new_job import EncodedJob
from job_client.pending import PendingItem
from job_client.unary import UnaryCalls
from job_client.waiting import Waits

BATCH_CREATE = f"/{JOB_SERVICE.full_name}/BatchCreate"


@dataclass(frozen=True, slots=True)
class Limits:
    """`calls_in_flight`: the maximum of calls in flight, for creates and for reads each. `pending_jobs`,
    `pending_bytes`: the maximum of jobs and of bytes in memory; further callers wait.

    Raises ValueError if a limit is less than 1, and TypeError if it is no whole number.
    """

    calls_in_flight: int = 4
    pending_jobs: int = 10_000
    pending_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        _ = self.of_a_batcher

    @property
    def of_a_batcher(self) -> BatcherLimits:
        return BatcherLimits(
            calls=self.calls_in_flight, pending_items=self.pending_jobs, pending_bytes=self.pending_bytes
        )


class Calls:
    """The channels of an open client, and what makes the calls on them. Belongs to the running event loop.

    `long`: a connection of its own for calls that wait or watch, so that they do not take the streams of the
    others.
    """

    def __init__(self, connection: Connection, limits: BatcherLimits) -> None:
        self.process = os.getpid()
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        self.channel, self.long = open_channel(connection), open_channel(connection)
        safe = hedged(self.channel)
        self.creates: Batcher[EncodedJob, Job] = Batcher(CreateCall(safe), limits)
        self._reads: Batcher[str, job_pb2.Job] = Batcher(GetCall(safe), limits)
        self.unary = UnaryCalls(self.channel, JOB_SERVICE, JobServiceStub)
        # Not self.get: a cycle would keep the channels, and gRPC's thread, until the garbage collector runs.
        self.waits = Waits(self.long, partial(_read, self._reads))

    async def create(self, job: EncodedJob, give_up: float) -> Job:
        """The stored job, without its payload. Raises JobClientError."""
        item = await self.creates.submit(job, job.id, job.size, give_up)
        return await item.result()

    async def get(self, job_id: str, give_up: float) -> job_pb2.Job:
        """Raises JobClientError."""
        return await _read(self._reads, job_id, give_up)

    async def start_get(self, job_id: str, give_up: float) -> PendingItem[str, job_pb2.Job]:
        """A read that is queued. Raises DeadlineExceeded, ClientClosed."""
        return await self._reads.submit(job_id, job_id, len(job_id), give_up)

    async def close(self) -> None:
        """Everything that is pending ends with ClientClosed."""
        await self.creates.close()
        await self._reads.close()
        await self.long.close()
        await self.channel.close()


class CreateCall:
    """Create for a single job, BatchCreate for several. Safe to repeat, because each job carries its id."""

    field = "requests"
    unique_ids = True

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = JobServiceStub(channel)
        # This call takes bytes, because the jobs are serialized already.
        self._batch_create: grpc.aio.UnaryUnaryMultiCallable[bytes, BatchCreateResponse] = (
            channel.unary_unary(BATCH_CREATE, response_deserializer=BatchCreateResponse.FromString)
        )

    async def send(self, contents: Sequence[EncodedJob], seconds: float) -> Sequence[Job | JobClientError]:
        """The jobs without their payloads. Raises AioRpcError."""
        if len(contents) == 1:
            job = await self._stub.Create(contents[0].request(), timeout=seconds)
            return [to_job(job, with_payload=False)]
        answer = await self._batch_create(b"".join(job.wire for job in contents), timeout=seconds)
        return [_created(outcome) for outcome in answer.outcomes]


class GetCall:
    """Get for a single id, BatchGet for several.

    The server refuses a BatchGet whose answer would be too large; the batcher then asks in halves.
    """

    field = "ids"
    unique_ids = False

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = JobServiceStub(channel)

    async def send(self, contents: Sequence[str], seconds: float) -> Sequence[job_pb2.Job | JobClientError]:
        """The messages as they came, so that a wait need not decode a job that has not ended.

        Raises AioRpcError.
        """
        ids = list(dict.fromkeys(contents))
        if len(ids) == 1:
            job = await self._stub.Get(GetRequest(id=ids[0]), timeout=seconds)
            return [job] * len(contents)
        answer = await self._stub.BatchGet(BatchGetRequest(ids=ids), timeout=seconds)
        found = {job.id: job for job in answer.jobs}
        return [found.get(job_id) or not_found(job_id) for job_id in contents]


async def _read(reads: Batcher[str, job_pb2.Job], job_id: str, give_up: float) -> job_pb2.Job:
    item = await reads.submit(job_id, job_id, len(job_id), give_up)
    return await item.result()


def _created(outcome: CreateOutcome) -> Job | JobClientError:
    return to_job(outcome.job) if outcome.HasField("job") else from_status(outcome.error)
