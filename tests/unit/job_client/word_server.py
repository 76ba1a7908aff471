"""A fake call for tests of batching: its items are words, and each word's answer is the word itself."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc
from google.rpc.code_pb2 import Code
from grpc_status import rpc_status

from contract_runtime.errors import InvalidArgument as Refused
from contract_runtime.errors import ServiceError, Violation
from contract_runtime.statuses import error_to_status
from job_client import (
    JobClientError,
)
from job_client.backoff import Backoff
from job_client.batching import Batcher, BatcherLimits
from job_client.pending import BatchLimits, PendingItem

AT_ONCE = Backoff(0, 0)
WordBatcher = Batcher[str, str]


def failure(error: ServiceError) -> grpc.aio.AioRpcError:
    """An error as the project's servers send it."""
    status = rpc_status.to_status(error_to_status(error))
    return grpc.aio.AioRpcError(
        status.code, grpc.aio.Metadata(), grpc.aio.Metadata(*status.trailing_metadata), status.details
    )


def away() -> grpc.aio.AioRpcError:
    """The error that gRPC makes when it cannot connect."""
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "nobody is there"
    )


class Fault(ServiceError):
    """An internal error of the server."""


class Busy(ServiceError):
    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"


@dataclass
class Server:
    """Answers each word with itself once `go` is set.

    `respond` may raise for the whole call, or return an error for one word.
    """

    respond: Callable[[Sequence[str], str], JobClientError | None] = lambda _batch, _word: None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[list[str]] = field(default_factory=list)
    in_flight: int = 0
    max_in_flight: int = 0
    field: str = "requests"
    unique_ids: bool = True

    async def send(self, contents: Sequence[str], seconds: float) -> Sequence[str | JobClientError]:
        assert seconds > 0
        self.calls.append(list(contents))
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await self.go.wait()
            return [self.respond(contents, word) or word for word in contents]
        finally:
            self.in_flight -= 1


def running(respond: Callable[[Sequence[str], str], JobClientError | None] | None = None) -> Server:
    server = Server(respond) if respond else Server()
    server.go.set()
    return server


def refusing_whole(*wrong: str, named: int = 10) -> Callable[[Sequence[str], str], None]:
    """A server that names up to `named` of the words that break a rule."""

    def respond(batch: Sequence[str], _word: str) -> None:
        rule = "must not be this"
        violations = [
            Violation(f"requests[{index}].type" if len(batch) > 1 else "type", "rule", rule)
            for index, word in enumerate(batch)
            if word in wrong
        ]
        if violations:
            raise failure(Refused(violations[:named]))

    return respond


def batcher(server: Server, calls: int = 1, backoff: Backoff = AT_ONCE, **limits: int) -> WordBatcher:
    batch = BatchLimits(limits.pop("items", 1000), limits.pop("size", 1000))
    return Batcher(server, BatcherLimits(batch, calls, **limits), backoff)


def add(words: WordBatcher, text: str, seconds: float = 60.0) -> list[PendingItem[str, str]]:
    """Add an item of size 1 for each letter, within the capacity."""
    items = []
    for letter in text:
        assert words._capacity.try_acquire(1)
        items.append(words.add(letter, letter, 1, words.now() + seconds))
    return items


async def results(items: Sequence[PendingItem[str, str]]) -> list[str | BaseException]:
    return await asyncio.gather(*(item.result() for item in items), return_exceptions=True)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
