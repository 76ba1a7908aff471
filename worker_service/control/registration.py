"""Registers a worker: waits for a name whose holder has gone, and gives way to a holder that lives."""

import asyncio
from dataclasses import dataclass

import structlog

from contract_runtime.status_details import error_info
from jobs.v1.fleet_service_pb2 import RegisterWorkerRequest, RegisterWorkerResponse
from jobs.v1.worker_pb2 import WorkerIdentity
from worker_service.api.backoff import Backoff
from worker_service.api.client import ApiClient
from worker_service.api.errors import ApiCallFailed

log = structlog.get_logger()

CALL_SECONDS = 2.0
ASK_AGAIN_SECONDS = 0.25
SIGNS_OF_LIFE = 2
"""A holder was heard of so often since we first asked: it lives. Of one that died a heartbeat may still be on its way into
a database that was out of reach.
"""
NAME_TAKEN = "WORKER_NAME_TAKEN"


class NameTaken(Exception):
    """Another process has this worker's name, and lives; says which."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a name, in the API server's words, and when that process was last heard of."""

    worker_id: str
    host: str
    pid: str
    last_heartbeat_time: str


async def register(identity: WorkerIdentity, api: ApiClient, backoff: Backoff) -> RegisterWorkerResponse:
    """Ask until the name is ours. Raises NameTaken once its holder has been heard of twice, or is another one."""
    request = RegisterWorkerRequest(worker=identity)
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
    info = error_info(error.status)
    if info is None or info.reason != NAME_TAKEN:
        return None
    metadata = info.metadata
    return Holder(metadata["worker_id"], metadata["host"], metadata["pid"], metadata["last_heartbeat_time"])
