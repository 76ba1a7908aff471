"""python -m bench.load.crowd ADDRESS WAITS WATCHES

Waits for jobs and watches jobs that do not end. It writes `ready` when all calls are there, and its CPU
seconds since then when its standard input ends. If a call ends before, it ends with status 1 and says why.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import grpc
from google.protobuf.duration_pb2 import Duration

from bench.errors import BenchFailed
from bench.work import text
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub

if TYPE_CHECKING:
    # Exists only in the stubs for type checkers.
    from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceAsyncStub

READY = "ready"
AHEAD = timedelta(days=1)
"""When the jobs are scheduled."""
JOBS_PER_CALL = 500
CALLS_PER_CHANNEL = 100
WAIT = 60.0
"""Seconds: as long as the API server allows by default."""
SPREAD = 15.0
"""Seconds in which the watches begin, so that their heartbeats, one in 15 s, do not come together."""


class CallEnded(BenchFailed):
    """A wait or a watch ended, although its job has not ended."""


async def crowd(address: str, waits: int, watches: int) -> None:
    """Until standard input ends. Raises CallEnded, AioRpcError."""
    async with _stubs(address, waits + watches) as some:
        stubs = itertools.cycle(some)
        job_ids = await _create(next(stubs), max(waits, watches))
        started = [asyncio.Event() for _ in range(watches)]
        calls = [
            asyncio.create_task(wait(next(stubs), job_ids[nth], (nth + 1) / waits)) for nth in range(waits)
        ]
        calls += [
            asyncio.create_task(watch(next(stubs), job_ids[nth], SPREAD * nth / watches, started[nth]))
            for nth in range(watches)
        ]
        ended = asyncio.create_task(_say_when_ready(started))
        await asyncio.wait([ended, *calls], return_when=asyncio.FIRST_COMPLETED)
        for call in calls:
            if call.done():
                call.result()
            call.cancel()
        await ended


async def wait(stub: "JobServiceAsyncStub", job_id: str, share: float) -> None:
    """Wait for the job's end again and again.

    The first wait takes `share` (0 to 1) of the time, so that the waits of many callers do not end together.
    """
    seconds = WAIT * share
    while True:
        request = job_service_pb2.GetRequest(id=job_id, wait=_duration(seconds))
        job = await stub.Get(request)
        if job.status != job_pb2.Job.queued:
            raise CallEnded(f"{job_id}, for which a call waits, is {job_pb2.Job.Status.Name(job.status)}")
        seconds = WAIT


async def watch(stub: "JobServiceAsyncStub", job_id: str, delay: float, started: asyncio.Event) -> None:
    await asyncio.sleep(delay)
    async for response in stub.Watch(job_service_pb2.WatchRequest(id=job_id)):
        if response.HasField("started"):
            started.set()
        if response.HasField("ended"):
            raise CallEnded(f"the watch of {job_id} has ended: {response.ended.reason}")
    raise CallEnded(f"the watch of {job_id} has ended")


async def _say_when_ready(started: Iterable[asyncio.Event]) -> None:
    for each in started:
        await each.wait()
    _say(READY)
    cpu = time.process_time()
    await asyncio.to_thread(sys.stdin.read)
    _say(f"{time.process_time() - cpu:.6f}")


async def _create(stub: "JobServiceAsyncStub", jobs: int) -> list[str]:
    """The ids of new jobs that do not start soon."""
    ids = []
    for first in range(0, jobs, JOBS_PER_CALL):
        request = job_service_pb2.BatchCreateRequest()
        for number in range(first, min(first + JOBS_PER_CALL, jobs)):
            job = request.requests.add(type="compute")
            job.payload["input"] = text(number)
            job.schedule_time.FromDatetime(datetime.now(UTC) + AHEAD)
        answer = await stub.BatchCreate(request)
        ids += [outcome.job.id for outcome in answer.outcomes]
    return ids


@asynccontextmanager
async def _stubs(address: str, calls: int) -> "AsyncIterator[list[JobServiceAsyncStub]]":
    """Stubs with a connection each, enough for this number of calls."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    count = max(calls // CALLS_PER_CHANNEL, 1)
    channels = [grpc.aio.insecure_channel(address, options) for _ in range(count)]
    try:
        yield [JobServiceStub(channel) for channel in channels]
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(int(seconds * 1000))
    return duration


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(address: str, waits: str, watches: str) -> int:
    try:
        asyncio.run(crowd(address, int(waits), int(watches)))
    except (BenchFailed, grpc.RpcError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
