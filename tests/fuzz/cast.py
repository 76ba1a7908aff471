"""Creates jobs in the states that inputs name, before the inputs are sent."""

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
from uuid_utils.compat import uuid7

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1.fleet_service_pb2 import RegisterWorkerRequest
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceStub
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import (
    BatchUpdateStatusRequest,
    BulkCancelRequest,
    CancelRequest,
    Claim,
    CreateRequest,
    FailureHint,
    ListRequest,
    Token,
    UpdateStatusRequest,
)
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from tests.conftest import UNWORKED
from tests.fuzz.examples import IDENTITY, IN_AN_HOUR, NO_JOBS
from tests.fuzz.roles import NEW_IDS, OPERATION, PAGE_TOKEN, WORKER_ID, JobRole

CLAIM = Claim(worker_id=WORKER_ID)
TOKEN = Token(worker_id=WORKER_ID, attempt=1)
HELD_FIRST = {JobRole.HELD, JobRole.HANDED_BACK, JobRole.COMPLETED, JobRole.FAILED}


class Casting:
    """Makes the values that replace stand-ins."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = JobServiceStub(channel)
        self._fleet: Any = FleetServiceStub(channel)

    async def register(self) -> None:
        """Register the tests' worker."""
        await self._fleet.RegisterWorker(RegisterWorkerRequest(worker=IDENTITY))

    async def cast(self, inputs: Iterable[bytes]) -> dict[str, str]:
        """The values for the stand-ins in `inputs`: new jobs and unused ids."""
        raw = b"\n".join(inputs)
        roles = [role for role in JobRole if role.stand_in.encode() in raw or role.upper_case.encode() in raw]
        jobs = dict(zip(roles, await asyncio.gather(*map(self._create, roles)), strict=True))
        await self._move(jobs)
        actual = {text: str(uuid7()) for text in NEW_IDS if text.encode() in raw}
        for role, job_id in jobs.items():
            actual |= {role.stand_in: job_id, role.upper_case: job_id.upper()}
        if OPERATION.encode() in raw:
            operation = await self._stub.BulkCancel(BulkCancelRequest(filter=NO_JOBS))
            actual[OPERATION] = operation.id
        if PAGE_TOKEN.encode() in raw:
            actual[PAGE_TOKEN] = await self._page_token()
        return actual

    async def _create(self, role: JobRole) -> str:
        job = await self._stub.Create(
            CreateRequest(
                type="compute" if role is JobRole.FINISHED else UNWORKED,
                payload=dict_to_struct({"input": role.name}),
                labels={"team": "a"},
                schedule_time=IN_AN_HOUR if role is JobRole.SCHEDULED else None,
            )
        )
        job_id: str = job.id
        return job_id

    async def _move(self, jobs: dict[JobRole, str]) -> None:
        """Bring queued jobs into the states of their roles."""
        unnamed = {JobRole.CLAIMED_UNNAMED: UpdateStatusRequest(status=Job.processing)}
        held = {role: UpdateStatusRequest(status=Job.processing, claim=CLAIM) for role in HELD_FIRST}
        await self._update(jobs, unnamed | held)
        permanent = FailureHint(permanent=True)
        await self._update(
            jobs,
            {
                JobRole.HANDED_BACK: UpdateStatusRequest(status=Job.queued, token=TOKEN),
                JobRole.COMPLETED: UpdateStatusRequest(status=Job.completed, token=TOKEN),
                JobRole.FAILED: UpdateStatusRequest(status=Job.failed, token=TOKEN, failure_hint=permanent),
            },
        )
        if JobRole.CANCELLED in jobs:
            await self._stub.Cancel(CancelRequest(id=jobs[JobRole.CANCELLED]))

    async def _update(self, jobs: dict[JobRole, str], updates: dict[JobRole, UpdateStatusRequest]) -> None:
        for role, update in updates.items():
            update.id = jobs.get(role, "")
        requests = [update for update in updates.values() if update.id]
        if not requests:
            return
        answer = await self._stub.BatchUpdateStatus(BatchUpdateStatusRequest(requests=requests))
        refused = [outcome.error.message for outcome in answer.outcomes if outcome.HasField("error")]
        assert not refused, refused

    async def _page_token(self) -> str:
        page = await self._stub.List(ListRequest(page_size=1))
        token: str = page.next_page_token
        assert len(token) == len(PAGE_TOKEN)
        return token
