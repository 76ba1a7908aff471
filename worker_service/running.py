"""Runs claimed jobs, each in a task of its own, and hands their outcomes to the reporter."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

import grpc
import structlog
from google.protobuf.struct_pb2 import Struct

from service_runtime.structs import StructError, struct_to_dict
from worker_service.api_client import ApiClient
from worker_service.backoff import Backoff
from worker_service.executor import Executor
from worker_service.hand import Claimed
from worker_service.job import Job
from worker_service.outcome import Failed, Interrupted, Outcome
from worker_service.registry import HandlerSpec

log = structlog.get_logger()

GET_SECONDS = 8.0


class Runner:
    """Jobs beyond their lane's limit wait here until one of the lane ends."""

    def __init__(
        self,
        handlers: Mapping[str, HandlerSpec],
        executor: Executor,
        api: ApiClient,
        *,
        report: Callable[[Claimed, Outcome], None],
        new_backoff: Callable[[], Backoff],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`handlers` by job type. `report` takes each job's outcome."""
        self._handlers = handlers
        self._executor = executor
        self._api = api
        self._report = report
        self._new_backoff = new_backoff
        self._clock = clock
        self._group = asyncio.TaskGroup()
        self._running: dict[str, tuple[asyncio.Task[None], str]] = {}
        """The task of each job by id, and how its handler is run."""
        self._interrupted: set[str] = set()

    async def run(self) -> None:
        """Keep the jobs' tasks until cancelled; a fault in one of them, other than the handler's, ends all."""
        async with self._group:
            await asyncio.get_running_loop().create_future()

    def start(self, claimed: Claimed) -> None:
        """Run a job that was claimed."""
        task = self._group.create_task(self._run(claimed))
        self._running[claimed.id] = (task, self._handlers[claimed.type].run_in)
        task.add_done_callback(lambda _task: self._running.pop(claimed.id))

    async def idle(self, seconds: float) -> bool:
        """Wait until no job is running, `seconds` at most; whether that came about."""
        if self._running:
            await asyncio.wait([task for task, _ in self._running.values()], timeout=seconds)
        return not self._running

    async def interrupt(self, modes: Collection[str]) -> None:
        """Hand back the jobs that run in these ways. A thread cannot be stopped: its job runs on, for nothing."""
        tasks = {job_id: task for job_id, (task, mode) in self._running.items() if mode in modes}
        self._interrupted.update(tasks)
        for task in tasks.values():
            task.cancel()
        if tasks:
            await asyncio.wait(tasks.values())

    async def _run(self, claimed: Claimed) -> None:
        try:
            async with claimed.lane.slots:
                started = self._clock()
                outcome = await self._outcome(claimed)
                claimed.lane.note_run(self._clock() - started)
        except asyncio.CancelledError:
            if claimed.id not in self._interrupted:
                raise
            outcome = Interrupted()
        self._report(claimed, outcome)

    async def _outcome(self, claimed: Claimed) -> Outcome:
        record = claimed.record
        struct = await self._fetch_payload(claimed) if record.payload_omitted else record.payload
        try:
            payload = struct_to_dict(struct)
        except StructError as error:
            return Failed(reason="INVALID_INPUT", message=f"payload: {error}")
        job = Job(id=claimed.id, type=claimed.type, attempt=claimed.attempt, payload=payload)
        return await self._executor.run(self._handlers[claimed.type], job)

    async def _fetch_payload(self, claimed: Claimed) -> Struct:
        """The payload of a job whose record was too small for it; asked for until it comes."""
        backoff = self._new_backoff()
        while True:
            try:
                return (await self._api.get(claimed.id, GET_SECONDS)).payload
            except grpc.aio.AioRpcError as error:
                log.warning(
                    "payload_not_read",
                    job_id=claimed.id,
                    type=claimed.type,
                    attempt=claimed.attempt,
                    code=error.code().name,
                    message=error.details(),
                )
            await asyncio.sleep(backoff.next())
