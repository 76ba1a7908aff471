"""The system under test, and the harm that can be done to it. Each fault is noted, so that the checker knows what it explains.

Parts that end are started again, as any supervisor would, unless they are down on purpose.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from local_stack.settings import ROOT, StackSettings
from local_stack.stack import Stack
from tests.faults.history import Fault
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
        }
    return {}


class Cluster:
    """`stack` is up, with this `lease`. Numbers begin at 1. One task at a time may do harm to one part."""

    def __init__(self, stack: Stack, lease: float) -> None:
        self.stack = stack
        self._lease = lease
        self.faults: list[Fault] = []
        self.deaths: list[str] = []
        """Own parts that ended with nobody having harmed them."""
        self._down: set[tuple[str, int]] = set()
        self._frozen: dict[tuple[str, int], int] = {}
        """Place of its fault in `faults`."""
        self._killed: dict[tuple[str, int], int] = {}
        self._dying: set[tuple[str, int]] = set()

    # --- Harm, and its end ---

    async def kill(self, name: str, number: int = 1) -> None:
        """SIGKILL; it stays down until `start`."""
        self._down.add((name, number))
        self._killed[name, number] = self._note(name, number, "killed")
        await asyncio.to_thread(self.stack.kill, name, number)

    async def stop(self, name: str, number: int = 1) -> None:
        """SIGTERM, and wait for its end; it stays down until `start`."""
        self._down.add((name, number))
        place = self._note(name, number, "stopped")
        await asyncio.to_thread(self.stack.stop, name, number)
        self._heal(place)

    async def start(self, name: str, number: int = 1, environment: Mapping[str, str] | None = None) -> None:
        """Start what is down, and wait until it is ready. `environment`: beside what it has, this time."""
        place = self._killed.pop((name, number), None)
        if place is not None:
            self._heal(place)
        usual = environment_of(name, self._lease)
        await asyncio.to_thread(self.stack.start, name, number, {**usual, **(environment or {})})
        if place is not None and name not in OWN:
            # Their start is their own affair; what comes after is ours.
            self._heal(place)
        self._down.discard((name, number))

    async def freeze(self, name: str, number: int = 1, *, others_recover: bool = False) -> None:
        """SIGSTOP. `others_recover`: what it had to do must be done while it is frozen."""
        await asyncio.to_thread(self.stack.freeze, name, number)
        place = self._note(name, number, "frozen")
        if not others_recover:
            self._frozen[name, number] = place

    async def thaw(self, name: str, number: int = 1) -> None:
        place = self._frozen.pop((name, number), None)
        if place is not None:
            self._heal(place)
        await asyncio.to_thread(self.stack.thaw, name, number)

    def harmed_otherwise(self, part: str) -> int:
        """Note a fault of another kind; its place, for `healed`."""
        self.faults.append(Fault(part, "other", time.time(), time.time()))
        return len(self.faults) - 1

    def healed(self, place: int) -> None:
        self._heal(place)

    @asynccontextmanager
    async def may_die(self, name: str) -> AsyncIterator[None]:
        """Parts of this name may end by themselves for a while: something in them is deadly."""
        parts = {part for part in PARTS if part[0] == name}
        self._dying |= parts
        try:
            yield
        finally:
            self._dying -= parts

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
            self.deaths.append(f"{name}-{number} ended by itself, see {self.stack.log_file(name, number)}")
        await asyncio.to_thread(self.stack.spawn, name, number)

    # --- Notes ---

    def _note(self, name: str, number: int, kind: str) -> int:
        now = time.time()
        self.faults.append(Fault(f"{name}-{number}", kind, now, now))  # type: ignore[arg-type]
        return len(self.faults) - 1

    def _heal(self, place: int) -> None:
        self.faults[place] = replace(self.faults[place], healed=time.time())
