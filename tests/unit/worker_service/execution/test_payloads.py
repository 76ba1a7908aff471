"""Payloads too large for a record are read a few at a time, and a limited number of bytes is in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import grpc
import pytest

from contract_runtime.structs import MAX_BYTES
from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from job_client._gen.jobs.v1.job_pb2 import Job
from tests.unit.worker_service.job_service_fake import api_of
from tests.waiting import until
from worker_service.api.backoff import Backoff
from worker_service.claiming.in_flight import MAX_LARGE, Claimed
from worker_service.claiming.lanes import Lane
from worker_service.execution import payloads as payloads_module
from worker_service.execution.payloads import MAX_READS, JobGone, Payloads

DEADLINE = 20.0
LARGEST = MAX_BYTES - 100


class Reads:
    """Payloads that an API server gives when the test allows it."""

    def __init__(self) -> None:
        self.size = LARGEST
        self.stored = Job()
        self.time = 0.0
        self.seconds_per_call = 0.0
        self.under_way = self.most_under_way = 0
        self.answers = asyncio.Semaphore(0)
        self.faults: list[grpc.StatusCode] = []
        self.asked = 0
        self.running: list[str] = []
        self.payloads: Payloads
        self._lane = Lane(1000, on_work=lambda: None, on_full_change=lambda: None)

    async def get(self, request: Any, context: Any) -> Job:
        self.asked += 1
        self.time += self.seconds_per_call
        if self.faults:
            await context.abort(self.faults.pop(0), "")
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        await self.answers.acquire()
        self.under_way -= 1
        job = Job()
        job.CopyFrom(self.stored)
        job.id = request.id
        job.payload["text"] = "x" * self.size
        return job

    def claimed(self, name: str) -> Claimed:
        return self.claimed_from(DispatchRecord(id=name, payload_omitted=True))

    def claimed_from(self, record: DispatchRecord) -> Claimed:
        return Claimed(record, self._lane, 1)

    async def run(self, name: str, end: asyncio.Event) -> None:
        async with self.payloads.of(self.claimed(name)) as job:
            assert len(job.payload["text"]) == self.size
            self.running.append(name)
            await end.wait()


@pytest.fixture
async def reads() -> AsyncIterator[Reads]:
    reads = Reads()
    async with api_of({"Get": reads.get}) as api:
        reads.payloads = Payloads(api, Backoff, clock=lambda: reads.time)
        yield reads


async def test_a_few_payloads_are_read_at_a_time(reads: Reads) -> None:
    end = asyncio.Event()
    jobs = [asyncio.create_task(reads.run(str(number), end)) for number in range(3 * MAX_READS)]
    await until(lambda: reads.under_way == MAX_READS)

    reads.answers.release()
    await until(lambda: len(reads.running) == 1 and reads.under_way == MAX_READS)
    for _ in jobs:
        reads.answers.release()
    await until(lambda: len(reads.running) == len(jobs))
    end.set()
    await asyncio.gather(*jobs)
    assert reads.most_under_way == MAX_READS


async def test_the_next_payloads_are_read_when_jobs_have_ended(reads: Reads) -> None:
    ends = [asyncio.Event() for _ in range(MAX_LARGE + 3)]
    jobs = [asyncio.create_task(reads.run(str(number), end)) for number, end in enumerate(ends)]
    for _ in jobs:
        reads.answers.release()
    await until(lambda: len(reads.running) == MAX_LARGE)
    assert reads.asked == MAX_LARGE

    for end in ends[:3]:
        end.set()
    await until(lambda: len(reads.running) == MAX_LARGE + 3)
    for end in ends:
        end.set()
    await asyncio.gather(*jobs)


async def test_a_payload_counts_with_its_real_size_once_that_is_known(reads: Reads) -> None:
    reads.size = MAX_BYTES // 4
    end = asyncio.Event()
    jobs = [asyncio.create_task(reads.run(str(number), end)) for number in range(2 * MAX_LARGE)]
    for _ in jobs:
        reads.answers.release()
    await until(lambda: len(reads.running) == len(jobs))
    end.set()
    await asyncio.gather(*jobs)


async def test_a_job_that_is_not_found_is_asked_for_again_and_counts_as_gone_after_a_while(
    reads: Reads,
) -> None:
    reads.faults = [grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND]
    reads.answers.release()
    async with AsyncExitStack() as stack:
        job = await stack.enter_async_context(reads.payloads.of(reads.claimed("late")))
        assert len(job.payload["text"]) == LARGEST

    reads.faults = [grpc.StatusCode.NOT_FOUND] * 1000
    gone = asyncio.create_task(reads.run("gone", asyncio.Event()))
    await until(lambda: len(reads.faults) < 999)
    assert not gone.done()
    reads.time += payloads_module.GONE_SECONDS
    with pytest.raises(JobGone):
        await asyncio.wait_for(gone, DEADLINE)


async def test_other_failures_do_not_count_as_not_found(reads: Reads) -> None:
    fault, not_found = grpc.StatusCode.INTERNAL, grpc.StatusCode.NOT_FOUND
    reads.faults = [grpc.StatusCode.UNAVAILABLE, fault, fault, not_found, fault, not_found]
    reads.seconds_per_call = payloads_module.GONE_SECONDS
    reads.answers.release()
    async with reads.payloads.of(reads.claimed("there")) as job:
        assert len(job.payload["text"]) == LARGEST


async def test_a_job_that_is_read_has_nothing_from_its_record(reads: Reads) -> None:
    reads.size, reads.stored = 1, Job(labels={"team": "a"})
    reads.stored.timeout.FromMilliseconds(1500)
    reads.stored.retry_policy.max_attempts = 4
    forged = DispatchRecord(id="job", payload_omitted=True, labels={"team": "b"}, max_attempts=9)
    forged.timeout.FromSeconds(99)
    reads.answers.release()
    async with reads.payloads.of(reads.claimed_from(forged)) as job:
        assert (job.labels, job.timeout, job.max_attempts) == ({"team": "a"}, 1.5, 4)
        assert job.payload == {"text": "x"}
