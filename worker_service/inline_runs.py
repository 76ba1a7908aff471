"""Runs jobs of plain handlers on the loop, one after the other, without a task for each: they are too short for that."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from worker_service.hand import Claimed

SLICE_SECONDS = 0.005
"""After so long others get their turn: heartbeats, polling, answers. One handler may of course take longer."""


class InlineRuns:
    """Jobs that wait for their turn, which comes with the loop's next round unless many are before them."""

    def __init__(
        self, run_job: Callable[[Claimed], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`run_job` runs one job to its end and raises nothing."""
        self._run_job = run_job
        self._clock = clock
        self._line: deque[Claimed] = deque()
        self._waiting: set[Claimed] = set()
        """Those of the line that have not been removed."""
        self._is_due = False
        """Whether the loop has been told to run some."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._fault: asyncio.Future[None] | None = None

    def add(self, claimed: Claimed) -> None:
        """Run a job soon."""
        self._line.append(claimed)
        self._waiting.add(claimed)
        if not self._is_due:
            self._is_due = True
            self._idle.clear()
            asyncio.get_running_loop().call_soon(self._run_some)

    def remove(self, claimed: Claimed) -> bool:
        """Do not run a job; whether it still waited."""
        if claimed not in self._waiting:
            return False
        self._waiting.remove(claimed)
        return True

    def remove_all(self) -> list[Claimed]:
        """Run none of those that wait; these are they."""
        removed = [claimed for claimed in self._line if claimed in self._waiting]
        self._waiting.clear()
        return removed

    async def run(self) -> None:
        """Until cancelled. Raises what `run_job` raised against its word."""
        self._fault = asyncio.get_running_loop().create_future()
        await self._fault

    async def idle(self) -> None:
        """Wait until no job waits."""
        await self._idle.wait()

    def _run_some(self) -> None:
        """A callback of the loop: where no task runs there is none that a handler could cancel."""
        until = self._clock() + SLICE_SECONDS
        try:
            while self._line and self._clock() < until:
                claimed = self._line.popleft()
                if self.remove(claimed):
                    self._run_job(claimed)
        except Exception as error:  # noqa: BLE001 - `run` raises it where it is heard
            self._tell(error)
        if self._line:
            asyncio.get_running_loop().call_soon(self._run_some)
        else:
            self._is_due = False
            self._idle.set()

    def _tell(self, error: Exception) -> None:
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)
