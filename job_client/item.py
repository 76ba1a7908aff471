"""One item in hand, and how it ends when no answer ends it."""

import asyncio
import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc

from job_client.errors import ClientClosed, DeadlineExceeded, JobClientError

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class Item(Generic[T, R]):
    """Cancelling `future` withdraws it, unless it is under way. `give_up`: by the event loop's clock. `trouble`: why it was not
    answered so far.
    """

    content: T
    id: str
    size: int
    give_up: float
    future: asyncio.Future[R]
    trouble: JobClientError | None = None
    is_settled: bool = False

    async def result(self) -> R:
        """Raises its error, or DeadlineExceeded. A caller that is cancelled tears no call that is under way."""
        if not self.future.done():
            try:
                async with until(self.give_up) as limit:
                    return await self.future
            except TimeoutError:
                if limit.expired():
                    raise too_late(self.id, self.trouble) from self.trouble
                raise
        return self.future.result()

    def settle(self, outcome: R | JobClientError) -> None:
        """Tell its caller, if that is still there."""
        self.is_settled = True
        if self.future.done():
            return
        if isinstance(outcome, JobClientError):
            self.future.set_exception(outcome)
            self.future.exception()  # seen, though its caller may not ask
        else:
            self.future.set_result(outcome)


def until(moment: float) -> asyncio.Timeout:
    """A limit by the event loop's clock; infinity: none."""
    return asyncio.timeout_at(None if math.isinf(moment) else moment)


def too_late(item_id: str, trouble: JobClientError | None = None) -> DeadlineExceeded:
    last = f"; the last answer was {trouble}" if trouble else ""
    error = DeadlineExceeded(
        f"job {item_id}: the time given was up{last}",
        reason="CLIENT_DEADLINE_EXCEEDED",
        metadata={"id": item_id},
    )
    error.__cause__ = trouble
    return error


def closed(item_id: str) -> ClientClosed:
    return ClientClosed(f"job {item_id}: the client is closed", metadata={"id": item_id})


def broken(item_id: str, fault: BaseException) -> JobClientError:
    """What must not happen, such as an answer that is not the contract's."""
    error = JobClientError(
        f"job {item_id}: the client failed: {fault!r}",
        code=grpc.StatusCode.INTERNAL,
        reason="CLIENT_FAULT",
        metadata={"id": item_id},
    )
    error.__cause__ = fault
    return error
