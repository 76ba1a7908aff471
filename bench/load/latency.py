"""The time from Create to a readable result, at a steady rate that leaves the system mostly idle."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from bench.errors import BenchFailed
from bench.results import Latency
from bench.stats import percentile
from bench.work import digest, text
from jobs.v1 import job_pb2, job_service_pb2
from jobs.v1.job_service_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    # Only the type checker knows it.
    from jobs.v1.job_service_pb2_grpc import JobServiceAsyncStub

POLL, POLL_SHARE = 0.002, 0.05
"""Seconds between two looks for a result, and the share of the time waited so far, if that is more: a system that falls
behind is not asked to death."""
DEADLINE = 120.0
"""Seconds. A system that cannot keep up with the rate falls behind until the last job has been created."""
START = 0.2


class JobTookTooLong(BenchFailed):
    """A job had no result within DEADLINE."""


def latency(seconds: Sequence[float]) -> Latency:
    p50, p95, p99 = (percentile(seconds, share) * 1000 for share in (0.50, 0.95, 0.99))
    return Latency(p50, p95, p99, len(seconds))


def pause(waited: float) -> float:
    """Seconds until the next look, the same for every system."""
    return max(POLL, POLL_SHARE * waited)


def grpc_latency(address: str, first: int, jobs: int, rate: float) -> Latency:
    """Jobs start on time however long the ones before take, and each clock starts when its job was due."""
    return latency(asyncio.run(_all(address, first, jobs, rate)))


async def _all(address: str, first: int, jobs: int, rate: float) -> list[float]:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: JobServiceAsyncStub = JobServiceStub(channel)
        await channel.channel_ready()
        start = time.perf_counter() + START
        one_each = (_one(stub, first + nth, start + nth / rate) for nth in range(jobs))
        return list(await asyncio.gather(*one_each))


async def _one(stub: "JobServiceAsyncStub", number: int, due: float) -> float:
    await asyncio.sleep(due - time.perf_counter())
    request = job_service_pb2.CreateRequest(type="compute")
    request.payload["input"] = text(number)
    created = await stub.Create(request)
    get = job_service_pb2.GetRequest(id=created.id)
    while (job := await stub.Get(get)).status != job_pb2.Job.completed:
        if time.perf_counter() - due > DEADLINE or job.status == job_pb2.Job.failed:
            raise JobTookTooLong(f"{created.id} is {job_pb2.Job.Status.Name(job.status)}")
        await asyncio.sleep(pause(time.perf_counter() - due))
    taken = time.perf_counter() - due
    if job.result["hash"] != digest(text(number)):
        raise JobTookTooLong(f"{created.id} has a wrong result")
    return taken
