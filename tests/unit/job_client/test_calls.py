"""Which calls the client makes, counted by a fake server."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import grpc
import pytest
from uuid_utils.compat import uuid4

from job_client import AsyncJobClient, NewJob, waiting
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchCreateRequest,
    BatchCreateResponse,
    BatchGetRequest,
    BatchGetResponse,
    CreateOutcome,
    CreateRequest,
    GetRequest,
)
from tests.unit.worker_service.job_service_fake import Call, serving

MEBIBYTE = 1024 * 1024


class Counting:
    """Accepts every job and completes it at its `polls`-th read. Records the size of each call."""

    def __init__(self, polls: int = 1) -> None:
        self._polls = polls
        self._reads: dict[str, int] = {}
        self.sizes: dict[str, list[int]] = {"Create": [], "BatchCreate": [], "Get": [], "BatchGet": []}
        self.bytes: list[int] = []

    @property
    def calls(self) -> Mapping[str, Call]:
        return {
            "Create": self.create,
            "BatchCreate": self.batch_create,
            "Get": self.get,
            "BatchGet": self.batch_get,
        }

    async def create(self, request: CreateRequest, _context: Any) -> Job:
        self.sizes["Create"].append(1)
        return Job(id=request.id, status=Job.queued)

    async def batch_create(self, request: BatchCreateRequest, _context: Any) -> BatchCreateResponse:
        self.sizes["BatchCreate"].append(len(request.requests))
        self.bytes.append(request.ByteSize())
        jobs = [Job(id=each.id, status=Job.queued) for each in request.requests]
        return BatchCreateResponse(outcomes=[CreateOutcome(job=job) for job in jobs])

    async def get(self, request: GetRequest, _context: Any) -> Job:
        self.sizes["Get"].append(1)
        return self._job(request.id)

    async def batch_get(self, request: BatchGetRequest, _context: Any) -> BatchGetResponse:
        self.sizes["BatchGet"].append(len(request.ids))
        return BatchGetResponse(jobs=[self._job(job_id) for job_id in request.ids])

    def _job(self, job_id: str) -> Job:
        self._reads[job_id] = self._reads.get(job_id, 0) + 1
        ended = self._reads[job_id] >= self._polls
        return Job(id=job_id, status=Job.completed if ended else Job.processing)


async def test_a_single_request_goes_as_create_and_several_as_a_batch() -> None:
    server = Counting()
    async with serving(server.calls) as address, AsyncJobClient(address) as jobs:
        await jobs.submit("compute", {})
        await asyncio.gather(*(jobs.submit("compute", {}) for _ in range(7)))
        await jobs.get(uuid4())
        await jobs.get_many([uuid4() for _ in range(9)])
    assert server.sizes == {"Create": [1], "BatchCreate": [7], "Get": [1], "BatchGet": [9]}


async def test_calls_keep_to_the_contract_s_limits() -> None:
    server = Counting()
    async with serving(server.calls) as address, AsyncJobClient(address) as jobs:
        await jobs.get_many([uuid4() for _ in range(2001)])
        await asyncio.gather(*(jobs.submit("compute", {}) for _ in range(1001)))
        large = {"input": "x" * (MEBIBYTE // 4)}
        await asyncio.gather(*(jobs.submit("compute", large) for _ in range(16)))
    assert server.sizes["BatchGet"] == [1000, 1000]
    assert server.sizes["Get"] == server.sizes["Create"] == [1]
    assert server.sizes["BatchCreate"] == [1000, 7, 7, 2]
    assert max(server.bytes) <= 2 * MEBIBYTE


async def test_waits_beyond_those_of_the_server_share_their_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SERVER_WAITS", 0)
    server = Counting(polls=6)
    async with serving(server.calls) as address, AsyncJobClient(address) as jobs:
        waits = []
        for _ in range(50):
            waits.append(asyncio.create_task(jobs.wait(uuid4(), timeout=60)))
            await asyncio.sleep(0.001)
        done = await asyncio.gather(*waits)
    assert all(job.has_ended for job in done)
    polls = 50 * 6
    assert sum(map(sum, server.sizes.values())) == polls
    # The first read of each wait is a call of its own; later reads share calls.
    assert len(server.sizes["BatchGet"]) + len(server.sizes["Get"]) < polls / 3


async def test_a_server_that_does_not_wait_is_called_with_pauses() -> None:
    server = Counting(polls=6)
    async with serving(server.calls) as address, AsyncJobClient(address) as jobs:
        await jobs.get(uuid4())
        begin = time.monotonic()
        await jobs.wait(uuid4())
    assert len(server.sizes["Get"]) == 7
    assert time.monotonic() - begin > 0.05


async def test_many_jobs_take_few_calls() -> None:
    server = Counting()
    async with serving(server.calls) as address, AsyncJobClient(address) as jobs:
        outcomes = [outcome async for outcome in jobs.submit_many(NewJob("compute") for _ in range(5000))]
    assert len({outcome.result().id for outcome in outcomes}) == 5000
    calls = sum(map(len, server.sizes.values()))
    assert calls < 100


async def test_credentials_are_used() -> None:
    server = Counting()
    async with (
        serving(server.calls, grpc.local_server_credentials()) as address,
        AsyncJobClient(address, credentials=grpc.local_channel_credentials()) as jobs,
    ):
        await jobs.submit("compute", {})
    assert server.sizes["Create"] == [1]
