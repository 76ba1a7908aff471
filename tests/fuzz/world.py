"""Sends calls to the running system and checks answers, stored jobs and logs."""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc
from google.protobuf.json_format import ParseError
from google.protobuf.message import DecodeError

from contract_runtime.structs import dict_to_struct
from job_client._gen.jobs.v1.fleet_service_pb2 import GetFleetRequest, RegisterWorkerRequest, SetFleetRequest
from job_client._gen.jobs.v1.fleet_service_pb2_grpc import FleetServiceStub
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2 import CreateRequest, GetRequest, ListRequest
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from tests.conftest import UNWORKED
from tests.fuzz.answer_checks import answered, faults, stored_jobs
from tests.fuzz.calls import Call, NativeCall, RestCall
from tests.fuzz.cast import Casting
from tests.fuzz.counts import Counts
from tests.fuzz.logs import LogWatch
from tests.fuzz.roles import NEW_IDS, put_in_place
from tests.fuzz.sending import Answer, Sender
from tests.fuzz.storage import Storage
from tests.waiting import until

JOB_SECONDS = 20.0
"""Seconds in which a valid job must complete, whatever was sent before."""
POLL = 0.02
CLOCK_TOLERANCE = timedelta(seconds=1)
SHOWN = 1000
MANY_WORKERS = 20
MANY_INPUTS = 5000
"""From this number on, random inputs must have tried everything."""


class World:
    """Checks the system by `play`."""

    def __init__(
        self,
        sender: Sender,
        storage: Storage,
        logs: LogWatch,
        channel: grpc.aio.Channel,
        workers: set[str],
        job_ids: set[str],
    ) -> None:
        """`workers`: the names of the real workers, at least one.

        `job_ids`: the jobs that are stored already.
        """
        assert workers
        self._sender = sender
        self._storage = storage
        self._logs = logs
        self._casting = Casting(channel)
        self._stub: Any = JobServiceStub(channel)
        self._fleet: Any = FleetServiceStub(channel)
        self._workers = workers
        self._job_ids = set(job_ids)
        self._deleted: set[str] = set()
        """The ids in calls of Delete. Their jobs may be gone."""
        self._is_registered = False
        self.counts = Counts()

    async def play(self, calls: Sequence[Call]) -> None:
        """Send the calls at the same time and check the system. Raises AssertionError with all findings.

        Each answer must be in order, stored jobs must be complete and known to a caller, and no log may have
        an unexpected failure.
        """
        since = await self._storage.now() - CLOCK_TOLERANCE
        if not self._is_registered:
            await self._casting.register()
            self._is_registered = True
        actual = await self._casting.cast(text for call in calls for text in _texts(call))
        # A chosen id is not a job yet. If its request is refused, there must be no job with this id.
        self._job_ids.update(text.lower() for name, text in actual.items() if name not in NEW_IDS)
        sent = [_in_place(call, actual) for call in calls]
        self._deleted |= {job_id for call in sent if _deletes(call) for job_id in _ids(call.content)}
        try:
            answers = await self._sender.send(sent)
            found = await self._answer_faults(sent, answers)
            found += await self._storage.faults(since)
            found += await self._storage.reading_faults(since)
            unknown = await self._storage.ids(since) - self._job_ids
            found += [f"stored, but in no answer: {unknown}"] if unknown else []
            found += self._logs.troubles()
        finally:
            await self._restore()
        assert not found, "\n".join(found)
        self.counts.add(calls, answers)

    async def _answer_faults(self, calls: Sequence[Call], answers: Sequence[Answer]) -> list[str]:
        """What is wrong with each answer, and jobs that are in an answer but not stored."""
        found = []
        acknowledged: set[str] = set()
        for call, answer in zip(calls, answers, strict=True):
            wrong = list(faults(call, answer))
            found += [f"{call!r}\n  was answered {repr(answer)[:SHOWN]}\n  {fault}" for fault in wrong]
            with suppress(DecodeError, ParseError):
                acknowledged.update(job.id for job in stored_jobs(answered(call, answer)))
        self._job_ids |= acknowledged
        lost = acknowledged - self._deleted - await self._storage.stored(acknowledged)
        return [*found, f"acknowledged, but not stored: {lost}"] if lost else found

    async def complete_a_job(self) -> None:
        """Create a valid job and wait until the worker has completed it."""
        request = CreateRequest(type="compute", payload=dict_to_struct({"input": "valid"}))
        job = await self._stub.Create(request)
        self._job_ids.add(job.id)

        async def done() -> bool:
            read = await self._stub.Get(GetRequest(id=job.id))
            return bool(read.status == Job.completed)

        await until(done, "a valid job is completed", JOB_SECONDS)

    async def finish(self) -> None:
        """After all inputs: no job waits that could run, each key has its job, and everything was tried."""
        await self.complete_a_job()
        try:
            await until(self._nothing_waits, "no job waits that could run", deadline=60)
        except AssertionError as error:
            raise AssertionError(f"{error}; stored: {await self._storage.waiting()}") from None
        keys = await self._storage.keys_without_a_job(self._deleted)
        assert not keys, f"idempotency keys without a job: {keys}"
        one_sided = self.counts.one_sided()
        assert self.counts.inputs < MANY_INPUTS or not one_sided, (
            f"only accepted, or only refused: {one_sided}"
        )

    async def _nothing_waits(self) -> bool:
        request = ListRequest(status=Job.queued, page_size=1000)
        while True:
            page = await self._stub.List(request)
            if any(job.type != UNWORKED and not job.HasField("next_attempt_time") for job in page.jobs):
                return False
            if not page.next_page_token:
                return True
            request.page_token = page.next_page_token

    async def crowd(self, identity: WorkerIdentity, count: int) -> None:
        """Register `count` more workers until the next calls have been played."""
        for number in range(count):
            each = WorkerIdentity(worker_id=f"{number}/1", name=f"{number}")
            each.MergeFrom(identity)
            await self._fleet.RegisterWorker(RegisterWorkerRequest(worker=each))

    async def _restore(self) -> None:
        """Start the fleet. Remove workers that do not exist, so that no call waits for them or lists them."""
        if len(await self._storage.worker_names()) > MANY_WORKERS:
            await self._forget_workers()
        fleet = (await self._fleet.GetFleet(GetFleetRequest())).fleet
        if not fleet.consuming or fleet.stopped_workers or fleet.stopped_types:
            await self._forget_workers()
            await self._fleet.SetFleet(SetFleetRequest(consuming=True))

    async def _forget_workers(self) -> None:
        await self._storage.forget_workers_but(self._workers)
        self._is_registered = False


def _texts(call: Call) -> tuple[bytes, ...]:
    return (call.raw,) if isinstance(call, NativeCall) else (call.target, call.body)


def _deletes(call: Call) -> bool:
    return call.verb == "DELETE" if isinstance(call, RestCall) else call.method.name == "Delete"


def _ids(content: bytes) -> set[str]:
    return {found.decode() for found in re.findall(rb"[0-9a-f-]{36}", content.lower())}


def _in_place(call: Call, actual: dict[str, str]) -> Call:
    if isinstance(call, NativeCall):
        return replace(call, raw=put_in_place(call.raw, actual))
    return replace(call, target=put_in_place(call.target, actual), body=put_in_place(call.body, actual))
