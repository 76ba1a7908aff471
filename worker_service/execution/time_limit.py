"""How long a handler may run."""

import asyncio
from typing import Any


class TimeUp(Exception):
    """A handler ran for longer than it may; says how long that is."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the handler ran for longer than the job's timeout of {seconds:g} s")


class TimeLimit:
    """`seconds` from `begin` on: neither a wait for a place nor the start of a process is the handler's own time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._began_at: float | None = None

    @property
    def is_exceeded(self) -> bool:
        """Whether the time is up, also when nothing could tell because the loop stood still."""
        return self._began_at is not None and self._loop.time() - self._began_at > self.seconds

    def begin(self) -> None:
        """The handler starts."""
        if not self._over.done():
            self._began_at = self._loop.time()
            self._timer = self._loop.call_later(self.seconds, self._set_over)

    async def wait(self, running: asyncio.Future[Any]) -> None:
        """Until `running` is done or the time is up."""
        try:
            await asyncio.wait([running, self._over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._set_over()
            if self._timer is not None:
                self._timer.cancel()

    def _set_over(self) -> None:
        if not self._over.done():
            self._over.set_result(None)


def begin_nothing() -> None:
    """For a handler that may run for as long as it takes."""
