"""One call for a batch, and smaller ones if something in it made the call fail as a whole."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import grpc

from job_client.errors import JobClientError, from_call
from job_client.item import Item
from job_client.judging import culprits, is_about_content

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Exchange(Protocol[T_contra, R_co]):
    """One call that may be sent again.

    `field` is the name of the list that a batch has in the contract; `each_once`: an id may stand there once.
    """

    field: str
    each_once: bool

    async def send(self, contents: Sequence[T_contra], seconds: float) -> "Sequence[R_co | JobClientError]":
        """What came of each, in order. Raises AioRpcError if the call failed as a whole."""


async def send(
    exchange: Exchange[T, R], batch: Sequence[Item[T, R]], clock: Callable[[], float], most_seconds: float
) -> Sequence[R | JobClientError]:
    """What came of each, in order. `clock`: the event loop's. `most_seconds`: for each call, less if no caller has so much time
    left.

    A call that fails because of what is in it is sent again without the items that the server names, in halves: so each failure
    either names one at least or leaves half as many to look through.
    """
    left = max(item.give_up for item in batch) - clock()
    try:
        outcomes = await exchange.send([item.content for item in batch], min(most_seconds, left))
    except grpc.aio.AioRpcError as failure:
        error = from_call(failure)
    else:
        if len(outcomes) != len(batch):
            raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} jobs")
        return outcomes
    if len(batch) == 1 or not is_about_content(error):
        return [error] * len(batch)
    known: dict[int, R | JobClientError] = dict(culprits(error, exchange.field))
    rest = [index for index in range(len(batch)) if index not in known]
    for half in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
        if half:
            answered = await send(exchange, [batch[index] for index in half], clock, most_seconds)
            known |= dict(zip(half, answered, strict=True))
    return [known[index] for index in range(len(batch))]
