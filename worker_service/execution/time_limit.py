"""How long a handler may run."""

import asyncio
from typing import Any


class TimeUp(Exception):
    """A handler ran for longer than its job's timeout, which the text names."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the handler ran for longer than the job's timeout of {seconds:g} s")


class TimeLimit:
    """`seconds`, counted from `start`. Neither the wait for a slot nor the start of a process counts."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._started_at: float | None = None

    @property
    def is_exceeded(self) -> bool:
        """Whether the time is up. Right even if the loop was blocked and its timer could not fire."""
        return self._started_at is not None and self._loop.time() - self._started_at > self.seconds

    def start(self) -> None:
        """The handler starts."""
        if not self._over.done():
            self._started_at = self._loop.time()
            self._timer = self._loop.call_later(self.seconds, self._set_over)

    async def wait(self, running: asyncio.Future[Any]) -> None:
        """Wait until `running` is done or the time is up."""
        try:
            await asyncio.wait([running, self._over], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._set_over()
            if self._timer is not None:
                self._timer.cancel()

    def _set_over(self) -> None:
        if not self._over.done():
            self._over.set_result(None)
