"""Measures the time from Create until the result can be read, at a steady rate below the system's limit."""

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
    # Exists only in the stubs for type checkers.
    from jobs.v1.job_service_pb2_grpc import JobServiceAsyncStub

POLL, POLL_SHARE = 0.002, 0.05
"""Seconds between two reads of a job, or this share of the time waited so far if that is more.

The share keeps the load of the reads small on a system that falls behind.
"""
DEADLINE = 120.0
"""Seconds. The latency of a system that is slower than the rate grows until the last job is created."""
START = 0.2


class JobTookTooLong(BenchFailed):
    """A job had no result within DEADLINE."""


def latency(seconds: Sequence[float]) -> Latency:
    p50, p95, p99 = (percentile(seconds, share) * 1000 for share in (0.50, 0.95, 0.99))
    return Latency(p50, p95, p99, len(seconds))


def pause(waited: float) -> float:
    """Seconds until the next read, the same for every system."""
    return max(POLL, POLL_SHARE * waited)


def grpc_latency(address: str, first: int, jobs: int, rate: float) -> Latency:
    """Each job is created when it is due, even if earlier jobs take long. Its time is measured from then."""
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
