"""The part of an API server process that waits and watches, without gRPC."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from google.protobuf.json_format import ParseDict

from api_server.adapters.mongo.stores import MongoStores
from api_server.domain.transitions import claim, complete
from api_server.feed.change_feed import ChangeFeed
from api_server.feed.demand import Demand
from api_server.feed.hint_feed import HintFeed
from api_server.feed.hints import Hints
from api_server.feed.told_jobs import ToldJobs
from api_server.feed.waits import Waits
from api_server.feed.watches import Watches
from api_server.services.job_logs import JobLogs
from api_server.services.job_waits import JobWaits
from api_server.services.job_watches import JobWatches
from api_server.services.operation_watches import OperationWatches
from job_client._gen.jobs.v1 import job_pb2, job_service_pb2
from tests.integration.mongo.jobs import LEASE, RESULT, WORKER, now
from tests.integration.mongo.services import servicer

PATIENCE = 60.0
"""Seconds that a test gives to what should happen at once."""


class Caller:
    """The context of a call without headers and deadline, which gets the responses of a stream."""

    def __init__(self) -> None:
        self.responses: asyncio.Queue[Any] = asyncio.Queue(1)

    @staticmethod
    def invocation_metadata() -> tuple[tuple[str, str], ...]:
        return ()

    @staticmethod
    def time_remaining() -> None:
        return None

    async def write(self, response: Any) -> None:
        await self.responses.put(response)


class WaitingServer:
    """`jobs`: its store, which tells its waits what it ends."""

    def __init__(self, stores: MongoStores, limit: int = 100) -> None:
        demand = Demand()
        self.waits, self.watches = Waits(limit, demand), Watches(limit, demand)
        self.jobs = ToldJobs(stores.jobs, self.waits)
        self.feed = ChangeFeed(stores.changes, stores.jobs, demand, self.waits, self.watches)
        self.hints = Hints()
        self.hint_feed = HintFeed(stores.hints, self.hints)
        watches = JobWatches(
            self.jobs,
            stores.changes,
            self.feed,
            self.watches,
            JobLogs(stores.job_logs),
            self.hints,
            heartbeat=0.2,
        )
        job_waits = JobWaits(self.jobs, self.waits, PATIENCE)
        self.servicer = servicer(
            stores,
            self.jobs,
            job_waits,
            watches,
            operation_watches=OperationWatches(stores.operations, self.hints, self.watches, heartbeat=0.2),
        )

    async def get(self, job_id: UUID, wait: str) -> job_pb2.Job:
        request = ParseDict({"id": str(job_id), "wait": wait}, job_service_pb2.GetRequest())
        return await self.servicer.Get(request, Caller())

    async def create(self, wait: str, **fields: Any) -> job_pb2.Job:
        fields = {"type": "compute", "payload": {"n": 1}, "wait": wait, **fields}
        return await self.servicer.Create(ParseDict(fields, job_service_pb2.CreateRequest()), Caller())

    async def start(self, job_id: UUID) -> None:
        """What a worker reports to this server when it claims the job."""
        await self.jobs.apply([claim(job_id, WORKER, 0, now(), LEASE)])

    async def run(self, job_id: UUID) -> None:
        """What a worker reports to this server when it runs the job."""
        await self.start(job_id)
        await self.complete(job_id)

    async def complete(self, job_id: UUID) -> None:
        """What a worker reports to this server when the handler has returned."""
        await self.jobs.apply([complete(job_id, WORKER, 1, RESULT, now())])

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Inside the block it hears of the changes of other servers."""
        tasks = [asyncio.create_task(each.run()) for each in (self.feed, self.hint_feed)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    @asynccontextmanager
    async def watching(self, **fields: Any) -> AsyncIterator["Reader"]:
        """Reads the responses of a watch."""
        request = ParseDict(fields, job_service_pb2.WatchRequest())
        async with self._reading(self.servicer.Watch, request) as reader:
            yield reader

    @asynccontextmanager
    async def watching_operation(self, operation_id: UUID) -> AsyncIterator["Reader"]:
        """The same for a watch of an operation."""
        request = job_service_pb2.WatchOperationRequest(id=str(operation_id))
        async with self._reading(self.servicer.WatchOperation, request) as reader:
            yield reader

    @asynccontextmanager
    async def _reading(self, method: Callable[[Any, Any], Any], request: Any) -> AsyncIterator["Reader"]:
        caller = Caller()
        async with self.following():
            call = asyncio.create_task(method(request, caller))
            try:
                yield Reader(caller, call)
            finally:
                call.cancel()
                await asyncio.wait([call])


class Reader:
    """What the caller of a watch gets. `token`: the latest resume_token."""

    def __init__(self, caller: Caller, call: asyncio.Task[None]) -> None:
        self._caller = caller
        self.call = call
        self.token = ""

    async def next(self) -> Any:
        """The next response but heartbeats. Raises the error of the call."""
        while True:
            reading = asyncio.create_task(self._caller.responses.get())
            await asyncio.wait([reading, self.call], timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                await self.call
                raise AssertionError("the watch has ended")
            response = reading.result()
            self.token = getattr(response, "resume_token", "")
            if not response.HasField("heartbeat"):
                return response

    async def states(self, count: int) -> list[tuple[str, int, str]]:
        """The id, the revision and the status of the next states."""
        jobs = [(await self.next()).job for _ in range(count)]
        return [(job.id, job.revision, job_pb2.Job.Status.Name(job.status)) for job in jobs]

    async def begin(self) -> list[str]:
        """The ids of the present jobs."""
        found = []
        while not (response := await self.next()).HasField("started"):
            found.append(response.job.id)
        return found
