"""A correct client: it repeats the same request while the outcome is unknown. It records all answers."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import grpc
from google.protobuf.json_format import MessageToDict

from contract_runtime.status_details import call_status, decode_status
from job_client._gen.jobs.v1.job_pb2 import Job
from job_client._gen.jobs.v1.job_service_pb2_grpc import JobServiceStub
from tests.faults.history import Observation, Requested, Seen

CALL_SECONDS = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
UNKNOWN_OUTCOME = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
)
OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.use_local_subchannel_pool", 1),
)
Answer = TypeVar("Answer")


class Refused(Exception):
    """The server refused the call. `reason` is ErrorInfo's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unanswered(Exception):
    """No server answered within the client's patience."""


@dataclass
class Witness:
    """All requests of one run and all answers to them."""

    requested: dict[str, Requested] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def observe(self, reader: str, jobs: Sequence[Job]) -> None:
        now = time.time()
        self.observations += [Observation(reader, now, seen(job)) for job in jobs]

    def update(self, job_id: str, **fields: Any) -> None:
        """Change what is known about a requested job."""
        self.requested[job_id] = replace(self.requested[job_id], **fields)


def seen(job: Job) -> Seen:
    return Seen(
        job.id,
        Job.Status.Name(job.status),
        job.attempt,
        job.revision,
        job.worker_id,
        canonical(MessageToDict(job.result)) if job.HasField("result") else None,
        job.error.reason,
    )


def canonical(result: Any) -> str:
    return json.dumps(result, sort_keys=True)


class Client:
    """Calls JobService at one address. `patience`: seconds for which a call without an answer is repeated."""

    def __init__(self, address: str, witness: Witness, patience: float) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        self._stub = JobServiceStub(self._channel)
        self._witness = witness
        self._patience = patience

    async def close(self) -> None:
        await self._channel.close()

    async def job(self, reader: str, method: str, request: Any, key: str = "") -> Job:
        """A call whose answer is a job, recorded for `reader`. `key`: an idempotency key.

        Raises Refused, Unanswered.
        """
        job: Job = await self.call(method, request, key)
        self._witness.observe(reader, [job])
        return job

    async def call(self, method: str, request: Any, key: str = "") -> Any:
        """Repeat the call until there is an answer. Raises Refused, Unanswered."""
        metadata = (("idempotency-key", key),) if key else ()
        give_up = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return await getattr(self._stub, method)(request, timeout=CALL_SECONDS, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() not in UNKNOWN_OUTCOME and not _is_broken_connection(error):
                    raise self._refusal(method, error) from None
                if time.monotonic() > give_up:
                    raise Unanswered(f"{method}: {error.code().name} {error.details()}") from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _refusal(self, method: str, error: grpc.aio.AioRpcError) -> Refused:
        reason = reason_of(error)
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            self._witness.troubles.append(
                f"{method} answered {error.code().name} {reason}: {error.details()}"
            )
        return Refused(reason, f"{method}: {error.code().name} {reason}")


def _is_broken_connection(error: grpc.aio.AioRpcError) -> bool:
    """Whether the connection broke during the answer.

    gRPC makes that INTERNAL too, but without the reason that a server gives.
    """
    return error.code() is grpc.StatusCode.INTERNAL and not reason_of(error)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """ErrorInfo's reason, or ""."""
    return decode_status(call_status(error)).reason
