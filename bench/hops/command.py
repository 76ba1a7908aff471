"""Measures the way of jobs that come at a steady rate, each by Create with `wait`."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import uuid_utils.compat

from bench import systems
from bench.errors import BenchFailed
from bench.hops.points import Hop
from bench.hops.times import complete, read_ways, report
from bench.hops.traced import Trace
from bench.load.grpc_load import create_one_by_one
from bench.load.latency import in_tasks
from bench.load.stub_load import waited
from bench.servers import data_directory
from bench.settings import BenchSettings
from bench.work import Numbers
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from local_stack.part import Part

if TYPE_CHECKING:
    # Exists only in the stubs for type checkers.
    from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceAsyncStub

DRAIN_SECONDS = 300.0
ENOUGH = 0.9
"""The share of jobs whose way must be known."""


def hops(settings: BenchSettings, show: Callable[[str], None]) -> None:
    """Raises StackError, BenchFailed."""
    numbers = Numbers()
    with data_directory(settings.output) as directory:
        file = directory / "hops"
        with systems.ours(
            directory, settings.api_servers, settings.workers, lambda part: traced(part, file)
        ) as system:
            create_one_by_one(
                system.grpc_addresses, numbers.take(), settings.warm_up_jobs, settings.in_flight
            )
            system.wait_drained(DRAIN_SECONDS)
            asyncio.run(_create(system.grpc_address, Trace(file), numbers.take(), settings))
        ways = complete(read_ways(file.read_text().splitlines()).values())
    if len(ways) < ENOUGH * settings.latency_jobs:
        raise BenchFailed(f"the whole way of only {len(ways)} of {settings.latency_jobs} jobs was seen")
    text = report(ways)
    show(f"\n{len(ways)} jobs at {settings.latency_rate} jobs/s\n\n{text}\n")
    settings.output.mkdir(parents=True, exist_ok=True)
    (settings.output / "hops.md").write_text(f"{text}\n")


def traced(part: Part, file: Path) -> Part:
    """The same service, with a trace."""
    python, _, package = part.command
    return replace(part, command=(python, "-m", "bench.hops.traced", package, str(file)))


async def _create(address: str, trace: Trace, first: int, settings: BenchSettings) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: JobServiceAsyncStub = JobServiceStub(channel)
        await channel.channel_ready()

        async def run(job_text: str) -> str:
            job_id = str(uuid_utils.compat.uuid7())
            trace.note([(Hop.CALLED, job_id)])
            result = await waited(stub, job_text, job_id)
            trace.note([(Hop.ANSWERED, job_id)])
            return result

        await in_tasks(run, first, settings.latency_jobs, settings.latency_rate)
