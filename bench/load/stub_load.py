"""Calls the API servers as a user's program does, with the stubs that grpcio's compiler generates."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import grpc
from google.protobuf.duration_pb2 import Duration

from bench.load.callers import by_callers
from bench.load.latency import DEADLINE, JobTookTooLong, in_tasks, pause
from bench.load.submitted import Submitted
from bench.results import Latency
from bench.work import text
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    # Exists only in the stubs for type checkers.
    from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceAsyncStub

WAIT = Duration(seconds=60)
"""As long as the API server allows by default."""

Run = Callable[["JobServiceAsyncStub", str], Awaitable[str]]
"""Creates a job with this text and returns its hash."""


def create_by_stubs(addresses: Sequence[str], first: int, jobs: int, callers: int) -> Submitted:
    """Each caller uses one address. Raises AioRpcError."""
    return asyncio.run(_create(addresses, first, jobs, callers))


async def _create(addresses: Sequence[str], first: int, jobs: int, callers: int) -> Submitted:
    channels = [grpc.aio.insecure_channel(address) for address in addresses]
    try:
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        return await by_callers([_creates(channel) for channel in channels], first, jobs, callers)
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


def _creates(channel: grpc.aio.Channel) -> Callable[[int], Awaitable[job_pb2.Job]]:
    stub: JobServiceAsyncStub = JobServiceStub(channel)

    async def create(number: int) -> job_pb2.Job:
        return await stub.Create(_request(text(number)))

    return create


def grpc_latency(address: str, run: Run, first: int, jobs: int, rate: float) -> Latency:
    """`run`: `polled` or `waited`. Raises AioRpcError, JobTookTooLong, WrongResult."""

    async def measure() -> Latency:
        async with grpc.aio.insecure_channel(address) as channel:
            stub: JobServiceAsyncStub = JobServiceStub(channel)
            await channel.channel_ready()
            return await in_tasks(lambda job_text: run(stub, job_text), first, jobs, rate)

    return asyncio.run(measure())


async def polled(stub: "JobServiceAsyncStub", job_text: str) -> str:
    """Create, then Get again and again."""
    begin = time.perf_counter()
    created = await stub.Create(_request(job_text))
    get = job_service_pb2.GetRequest(id=created.id)
    while True:
        job = await stub.Get(get)
        if _has_result(job, begin):
            return str(job.result["hash"])
        await asyncio.sleep(pause(time.perf_counter() - begin))


async def waited(stub: "JobServiceAsyncStub", job_text: str, job_id: str = "") -> str:
    """Create with `wait`. Most jobs need no other call. `job_id`: none if the server is to choose it."""
    begin = time.perf_counter()
    request = _request(job_text)
    request.id = job_id
    request.wait.CopyFrom(WAIT)
    job = await stub.Create(request)
    while not _has_result(job, begin):
        job = await stub.Get(job_service_pb2.GetRequest(id=job.id, wait=WAIT))
    return str(job.result["hash"])


def _has_result(job: job_pb2.Job, begin: float) -> bool:
    """Raises JobTookTooLong, also for a job that has failed."""
    if job.status == job_pb2.Job.completed:
        return True
    if job.status == job_pb2.Job.failed or time.perf_counter() - begin > DEADLINE:
        raise JobTookTooLong(f"{job.id} is {job_pb2.Job.Status.Name(job.status)}")
    return False


def _request(job_text: str) -> job_service_pb2.CreateRequest:
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["input"] = job_text
    return request
