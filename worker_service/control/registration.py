"""Registers a worker: waits for the name of a dead process, and leaves the name of a live process alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from contract_runtime.status_details import decode_status
from job_client._gen.jobs.v1.fleet_service_pb2 import (
    HandlerSchema,
    RegisterWorkerRequest,
    RegisterWorkerResponse,
)
from job_client._gen.jobs.v1.worker_pb2 import WorkerIdentity
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed

log = structlog.get_logger()

CALL_SECONDS = 2.0
ASK_AGAIN_SECONDS = 0.25
SIGNS_OF_LIFE = 2
"""A holder that has sent this many heartbeats since we first asked is alive.

One is not enough: the last heartbeat of a dead process may have been delayed while the database was
unreachable.
"""
NAME_TAKEN = "WORKER_NAME_TAKEN"


class NameTaken(Exception):
    """A live process has this worker's name. The message says which process."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that has a name, and the time of its last heartbeat, as the API server wrote them."""

    worker_id: str
    host: str
    pid: str
    last_heartbeat_time: str


async def register(
    identity: WorkerIdentity, api: ApiClient, backoff: Backoff, schemas: Sequence[HandlerSchema] = ()
) -> RegisterWorkerResponse:
    """Ask until the name is ours. `schemas`: of the worker's handlers.

    Raises NameTaken when its holder has sent SIGNS_OF_LIFE heartbeats, or when another process has taken the
    name.
    """
    request = RegisterWorkerRequest(worker=identity, schemas=schemas)
    known: Holder | None = None
    signs_of_life = 0
    while True:
        try:
            answer = await api.register_worker(request, CALL_SECONDS)
        except ApiCallFailed as error:
            holder = holder_of(error)
            if holder is None:
                log.warning("not_registered", code=error.code_name, message=error.message)
                await asyncio.sleep(backoff.next())
                continue
            if known is None:
                log.warning("name_not_free_yet", name=identity.name, host=holder.host, pid=holder.pid)
            elif holder != known:
                signs_of_life += 1
                if signs_of_life == SIGNS_OF_LIFE or holder.worker_id != known.worker_id:
                    raise NameTaken(
                        f"{identity.name!r} is the name of a worker that runs: "
                        f"process {holder.pid} on {holder.host}"
                    ) from None
            known = holder
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        else:
            backoff.reset()
            return answer


def holder_of(error: ApiCallFailed) -> Holder | None:
    """The process that has the name, if that is why the API server refused."""
    details = decode_status(error.status)
    if details.reason != NAME_TAKEN:
        return None
    metadata = details.metadata
    return Holder(metadata["worker_id"], metadata["host"], metadata["pid"], metadata["last_heartbeat_time"])
