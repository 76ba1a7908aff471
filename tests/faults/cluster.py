"""The system under test, and the faults that can be injected.

Each fault is recorded, so that the checker knows what it explains. Parts that end are started again, as a
supervisor would, unless a fault keeps them down.
"""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import grpc
from aiokafka.admin import AIOKafkaAdminClient

from job_client._gen.jobs.v1.worker_service_pb2 import StartRequest, StopRequest
from job_client._gen.jobs.v1.worker_service_pb2_grpc import WorkerServiceStub
from local_stack.part import StackError
from local_stack.services import PYTHON_PATH
from local_stack.settings import ROOT, StackSettings
from local_stack.stack import Spawn, Stack
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
DEFAULT_LEASE = 15.0
SERVICES = frozenset({"api_server", "worker"})
SUPERVISOR_PAUSE = 0.25
CONTROL_SECONDS = 20.0
PATIENCE = 60.0
Answer = TypeVar("Answer")
HOOKS = {"PYTHONPATH": os.pathsep.join([PYTHON_PATH["PYTHONPATH"], str(ROOT / "tests/faults/hooks")])}


def make_stack(data_dir: Path, lease: float, spawn: Spawn) -> Stack:
    """A stack of two API servers and three workers, not started yet."""
    settings = StackSettings.with_free_ports(data_dir, api_servers=len(API_SERVERS), workers=len(WORKERS))
    stack = Stack(settings, spawn=spawn)
    for name, number in PARTS:
        stack.set_environment(name, number, environment_of(name, lease))
    return stack


def environment_of(name: str, lease: float) -> dict[str, str]:
    """A part's environment variables in addition to the stack's.

    With the default lease, as in `make test-faults`, the topics and the workers' fetches are the default ones
    too. Otherwise they cost less CPU time.
    """
    is_default = lease >= DEFAULT_LEASE
    if name == "worker":
        return {
            "WORKER_JOB_TYPES": ",".join(WORKER_TYPES),
            "WORKER_HANDLERS": "tests.faults.handlers",
            "WORKER_THREADS": "8",
            # Shorter than the longest job, so that some jobs are released.
            "WORKER_DRAIN_TIMEOUT": "2",
            "KAFKA_FETCH_MAX_WAIT": "0.1" if is_default else "0.5",
        }
    if name == "api_server":
        return {
            "JOB_TYPES": ",".join(ALL_TYPES),
            "JOB_LEASE": f"{lease}",
            "HEARTBEAT_INTERVAL": f"{min(lease / 6, 1.0)}",
            # Half a second more than the gateway needs to stop using a server.
            "SHUTDOWN_DELAY": "1.5",
            "KAFKA_PARTITIONS": "12" if is_default else "4",
        }
    return {}


class Cluster:
    """`stack` is up with this `lease`. Only one task at a time may inject faults into a part."""

    def __init__(self, stack: Stack, lease: float) -> None:
        self.stack = stack
        self._lease = lease
        self.faults: list[Fault] = []
        self.troubles: list[str] = []
        """Unexpected events, such as a part that ended without a fault."""
        self.stops: list[Stopped] = []
        self._temporary: dict[tuple[str, int], Mapping[str, str]] = {}
        """Temporary environment variables of parts."""
        self._down: set[tuple[str, int]] = set()
        self._frozen: dict[tuple[str, int], int] = {}
        """The index in `faults` of a frozen part's fault; likewise for `_killed`."""
        self._killed: dict[tuple[str, int], int] = {}
        self._dying: set[tuple[str, int]] = set()

    # --- Faults and their ends ---

    async def kill(self, name: str, number: int = 1, *, others_recover: bool = False) -> None:
        """Send SIGKILL. The part stays down until `start`.

        `others_recover`: the other parts must take over its work while it is down.
        """
        self._down.add((name, number))
        fault = self._note(name, number, "killed")
        if not others_recover:
            self._killed[name, number] = fault
        await asyncio.to_thread(self.stack.kill, name, number)

    async def stop(self, name: str, number: int = 1) -> None:
        """Send SIGTERM and wait until the part has ended. It stays down until `start`."""
        self._down.add((name, number))
        fault = self._note(name, number, "stopped")
        await asyncio.to_thread(self.stack.stop, name, number)
        self._heal(fault)

    async def start(self, name: str, number: int = 1) -> None:
        """Start a part and wait until it is ready."""
        fault = self._killed.pop((name, number), None)
        if fault is not None:
            self._heal(fault)
        variables = {**environment_of(name, self._lease), **self._temporary.get((name, number), {})}
        while True:
            try:
                await asyncio.to_thread(self.stack.start, name, number, variables)
                break
            except StackError:
                # A crash point or a poison job may have killed it before it was ready.
                if (name, number) not in self._dying:
                    raise
                self._note(name, number, "killed")
        if fault is not None and name not in SERVICES:
            # The start of MongoDB, Kafka or Envoy does not count; the fault lasts until they are ready.
            self._heal(fault)
        self._down.discard((name, number))

    async def freeze(self, name: str, number: int = 1, *, others_recover: bool = False) -> None:
        """Send SIGSTOP. `others_recover`: the other parts must take over its work while it is frozen."""
        await asyncio.to_thread(self.stack.freeze, name, number)
        fault = self._note(name, number, "frozen")
        if not others_recover:
            self._frozen[name, number] = fault

    async def thaw(self, name: str, number: int = 1) -> None:
        fault = self._frozen.pop((name, number), None)
        if fault is not None:
            self._heal(fault)
        if await asyncio.to_thread(self.stack.is_running, name, number):
            await asyncio.to_thread(self.stack.thaw, name, number)

    async def delete_topic(self, job_type: str) -> None:
        """Delete a topic with all its records. The fault is over at once."""
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
        """Stop all workers, one worker or one job type for the time of the block, by Stop and Start.

        `amid_faults`: there are other faults at the same time, so a worker may be paused late.
        """
        part: dict[str, Any] = {"worker": worker} if worker else {"type": job_type} if job_type else {}
        async with grpc.aio.insecure_channel(self.stack.endpoints.workers_address) as channel:
            stub = WorkerServiceStub(channel)
            answer = await answered(lambda: stub.Stop(StopRequest(**part), timeout=CONTROL_SECONDS))
            if answer.pending_worker_ids and not amid_faults:
                self.troubles.append(f"workers did not follow a stop: {answer.pending_worker_ids}")
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
        """Run parts with additional environment variables in the block. Restarts them before and after."""
        self._temporary |= environments
        await asyncio.gather(*(self.restart(*part) for part in environments))
        try:
            yield
        finally:
            for part in environments:
                del self._temporary[part]
            await asyncio.gather(*(self.restart(*part) for part in environments))

    async def restart(self, name: str, number: int = 1) -> None:
        """Send SIGTERM and start the part again."""
        await self.stop(name, number)
        await self.start(name, number)

    @asynccontextmanager
    async def may_die(self, name: str) -> AsyncIterator[None]:
        """Parts with this name may end by themselves in the block, because something in them crashes them."""
        parts = {part for part in PARTS if part[0] == name}
        self._dying |= parts
        try:
            yield
        finally:
            self._dying -= parts

    def clock_error(self, name: str, number: int) -> float:
        """By how many seconds the clock of a part's log is ahead of the real time."""
        last = self.stack.log_file(name, number).read_text().splitlines()[-1]
        return datetime.fromisoformat(json.loads(last)["timestamp"]).timestamp() - time.time()

    async def heal(self) -> None:
        """Make all parts run."""
        for name, number in PARTS:
            await self.thaw(name, number)
            await self.start(name, number)

    # --- The supervisor ---

    async def supervise(self) -> None:
        """Start parts that have ended, until cancelled."""
        while True:
            await asyncio.sleep(SUPERVISOR_PAUSE)
            for name, number in PARTS:
                if name in SERVICES and (name, number) not in self._down:
                    await self._supervise(name, number)

    async def _supervise(self, name: str, number: int) -> None:
        if await asyncio.to_thread(self.stack.is_running, name, number) or (name, number) in self._down:
            return
        if (name, number) in self._dying:
            self._note(name, number, "killed")
        else:
            self.troubles.append(f"{name}-{number} ended by itself, see {self.stack.log_file(name, number)}")
        await asyncio.to_thread(self.stack.spawn, name, number)

    # --- Records ---

    def _note(self, name: str, number: int, kind: str) -> int:
        now = time.time()
        self.faults.append(Fault(f"{name}-{number}", kind, now, now))  # type: ignore[arg-type]
        return len(self.faults) - 1

    def _heal(self, fault: int) -> None:
        self.faults[fault] = replace(self.faults[fault], healed=time.time())


async def answered(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """Repeat a call until it is answered, for PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await call()
        except grpc.aio.AioRpcError as error:
            if error.code() not in UNKNOWN_OUTCOME or time.monotonic() > deadline:
                raise
        await asyncio.sleep(SUPERVISOR_PAUSE)
