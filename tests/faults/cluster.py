"""The system under test, and the harm that can be done to it. Each fault is noted, so that the checker knows what it explains.

Parts that end are started again, as any supervisor would, unless they are down on purpose.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import grpc
from aiokafka.admin import AIOKafkaAdminClient

from jobs.v1.worker_service_pb2 import StartRequest, StopRequest
from jobs.v1.worker_service_pb2_grpc import WorkerServiceStub
from local_stack.part import StackError
from local_stack.settings import ROOT, StackSettings
from local_stack.stack import Stack
from tests.faults.client import UNKNOWN_OUTCOME
from tests.faults.history import Fault, Stopped
from tests.faults.kinds import ALL_TYPES, WORKER_TYPES

API_SERVERS = (1, 2)
WORKERS = (1, 2, 3)
PARTS = (
    ("mongodb", 1),
    ("kafka", 1),
    *(("api_server", number) for number in API_SERVERS),
    *(("worker", number) for number in WORKERS),
    ("gateway", 1),
)
OWN = frozenset({"api_server", "worker"})
SUPERVISOR_PAUSE = 0.25
CONTROL_SECONDS = 20.0
PATIENCE = 60.0
Answer = TypeVar("Answer")
HOOKS = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}:{ROOT / 'tests/faults/hooks'}"}


def make_stack(data_dir: Path, lease: float) -> Stack:
    """Two API servers, three workers, not started."""
    stack = Stack(StackSettings.with_free_ports(data_dir, api_servers=len(API_SERVERS), workers=len(WORKERS)))
    for name, number in PARTS:
        stack.set_environment(name, number, environment_of(name, lease))
    return stack


def environment_of(name: str, lease: float) -> dict[str, str]:
    """What a part is told beside what the stack tells it."""
    if name == "worker":
        return {
            "WORKER_JOB_TYPES": ",".join(WORKER_TYPES),
            "WORKER_HANDLERS": "tests.faults.handlers",
            "WORKER_THREADS": "8",
            # Shorter than the longest job, so that some are handed back.
            "WORKER_DRAIN_TIMEOUT": "2",
        }
    if name == "api_server":
        return {
            "JOB_TYPES": ",".join(ALL_TYPES),
            "JOB_LEASE": f"{lease}",
            "HEARTBEAT_INTERVAL": f"{min(lease / 6, 1.0)}",
            # Half a second more than the gateway needs to turn away.
            "SHUTDOWN_DELAY": "1.5",
        }
    return {}


class Cluster:
    """`stack` is up, with this `lease`. Numbers begin at 1. One task at a time may do harm to one part."""

    def __init__(self, stack: Stack, lease: float) -> None:
        self.stack = stack
        self._lease = lease
        self.faults: list[Fault] = []
        self.troubles: list[str] = []
        """What should not have come of it, such as parts that ended with nobody having harmed them."""
        self.stops: list[Stopped] = []
        self._more: dict[tuple[str, int], Mapping[str, str]] = {}
        """What parts have in their environment for a while."""
        self._down: set[tuple[str, int]] = set()
        self._frozen: dict[tuple[str, int], int] = {}
        """Place of its fault in `faults`."""
        self._killed: dict[tuple[str, int], int] = {}
        self._dying: set[tuple[str, int]] = set()

    # --- Harm, and its end ---

    async def kill(self, name: str, number: int = 1, *, others_recover: bool = False) -> None:
        """SIGKILL; it stays down until `start`. `others_recover`: what it had to do must be done until then."""
        self._down.add((name, number))
        place = self._note(name, number, "killed")
        if not others_recover:
            self._killed[name, number] = place
        await asyncio.to_thread(self.stack.kill, name, number)

    async def stop(self, name: str, number: int = 1) -> None:
        """SIGTERM, and wait for its end; it stays down until `start`."""
        self._down.add((name, number))
        place = self._note(name, number, "stopped")
        await asyncio.to_thread(self.stack.stop, name, number)
        self._heal(place)

    async def start(self, name: str, number: int = 1) -> None:
        """Start what is down, and wait until it is ready."""
        place = self._killed.pop((name, number), None)
        if place is not None:
            self._heal(place)
        variables = {**environment_of(name, self._lease), **self._more.get((name, number), {})}
        while True:
            try:
                await asyncio.to_thread(self.stack.start, name, number, variables)
                break
            except StackError:
                # It may have met what kills it before it was ready.
                if (name, number) not in self._dying:
                    raise
                self._note(name, number, "killed")
        if place is not None and name not in OWN:
            # Their start is their own affair; what comes after is ours.
            self._heal(place)
        self._down.discard((name, number))

    async def freeze(self, name: str, number: int = 1, *, others_recover: bool = False) -> None:
        """SIGSTOP. `others_recover`: what it had to do must be done until it is thawed."""
        await asyncio.to_thread(self.stack.freeze, name, number)
        place = self._note(name, number, "frozen")
        if not others_recover:
            self._frozen[name, number] = place

    async def thaw(self, name: str, number: int = 1) -> None:
        place = self._frozen.pop((name, number), None)
        if place is not None:
            self._heal(place)
        if await asyncio.to_thread(self.stack.is_running, name, number):
            await asyncio.to_thread(self.stack.thaw, name, number)

    async def delete_topic(self, job_type: str) -> None:
        """With all records that wait in it. That is healed as soon as it is done."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.stack.address("kafka"))
        await admin.start()
        try:
            await admin.delete_topics([f"jobs.{job_type}"])
        finally:
            await admin.close()
        self._note("kafka", 1, "other")

    @asynccontextmanager
    async def stopped(
        self, *, worker: str = "", job_type: str = "", amid_faults: bool = False
    ) -> AsyncIterator[None]:
        """Workers are told to take no new jobs, all of them unless one or a type is named; then to go on.

        `amid_faults`: others do harm meanwhile, so that a worker may follow late.
        """
        part: dict[str, Any] = {"worker": worker} if worker else {"type": job_type} if job_type else {}
        async with grpc.aio.insecure_channel(self.stack.endpoints.workers_address) as channel:
            stub = WorkerServiceStub(channel)
            answer = await answered(lambda: stub.Stop(StopRequest(**part), timeout=CONTROL_SECONDS))
            if answer.pending_worker_ids and not amid_faults:
                self.troubles.append(f"a stop was not followed by {answer.pending_worker_ids}")
            at = time.time()
            try:
                yield
            finally:
                if not amid_faults:
                    self.stops.append(Stopped(at, time.time(), worker, job_type))
                self.faults.append(Fault("fleet", "other", at, time.time()))
                await answered(lambda: stub.Start(StartRequest(**part), timeout=CONTROL_SECONDS))

    @asynccontextmanager
    async def changed(self, environments: Mapping[tuple[str, int], Mapping[str, str]]) -> AsyncIterator[None]:
        """Parts run with more in their environment. That takes two restarts, of all of them at once."""
        self._more |= environments
        await asyncio.gather(*(self.restart(*part) for part in environments))
        try:
            yield
        finally:
            for part in environments:
                del self._more[part]
            await asyncio.gather(*(self.restart(*part) for part in environments))

    async def restart(self, name: str, number: int = 1) -> None:
        """SIGTERM, and start it again."""
        await self.stop(name, number)
        await self.start(name, number)

    @asynccontextmanager
    async def may_die(self, name: str) -> AsyncIterator[None]:
        """Parts of this name may end by themselves for a while: something in them is deadly."""
        parts = {part for part in PARTS if part[0] == name}
        self._dying |= parts
        try:
            yield
        finally:
            self._dying -= parts

    def clock_error(self, name: str, number: int) -> float:
        """By how many seconds a part's log is ahead of the right time."""
        last = self.stack.log_file(name, number).read_text().splitlines()[-1]
        return datetime.fromisoformat(json.loads(last)["timestamp"]).timestamp() - time.time()

    async def heal(self) -> None:
        """Everything runs, in its own environment."""
        for name, number in PARTS:
            await self.thaw(name, number)
            await self.start(name, number)

    # --- The supervisor ---

    async def supervise(self) -> None:
        """Until cancelled: start what has ended."""
        while True:
            await asyncio.sleep(SUPERVISOR_PAUSE)
            for name, number in PARTS:
                if name in OWN and (name, number) not in self._down:
                    await self._supervise(name, number)

    async def _supervise(self, name: str, number: int) -> None:
        if await asyncio.to_thread(self.stack.is_running, name, number) or (name, number) in self._down:
            return
        if (name, number) in self._dying:
            self._note(name, number, "killed")
        else:
            self.troubles.append(f"{name}-{number} ended by itself, see {self.stack.log_file(name, number)}")
        await asyncio.to_thread(self.stack.spawn, name, number)

    # --- Notes ---

    def _note(self, name: str, number: int, kind: str) -> int:
        now = time.time()
        self.faults.append(Fault(f"{name}-{number}", kind, now, now))  # type: ignore[arg-type]
        return len(self.faults) - 1

    def _heal(self, place: int) -> None:
        self.faults[place] = replace(self.faults[place], healed=time.time())


async def answered(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """The answer to a call that may be sent again, as long as it takes."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in UNKNOWN_OUTCOME or time.monotonic() > deadline:
                raise
        await asyncio.sleep(SUPERVISOR_PAUSE)
