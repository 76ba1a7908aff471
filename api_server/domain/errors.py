"""Failures of the job service that callers are told about.

ServiceError
├── JobNotFound
├── JobIdTaken, IdempotencyKeyReused      another request came first with this name
├── TransitionRefused                     the job does not allow this step now
├── ClaimStopped                          the fleet, the worker or the type is stopped
├── WorkerNotRegistered, WorkerNotFound
├── WorkerNameTaken                       another process has it, and may be alive
├── FleetTooLarge, AnswerTooLarge
├── Overloaded                            more waits to be stored than may wait
├── StoreUnavailable                      the database is out of reach
└── InvalidArgument                       (contract_runtime.errors)
"""

from uuid import UUID

from google.rpc.code_pb2 import Code

from api_server.domain.fleet import Worker
from contract_runtime.errors import ServiceError

RETRY_DELAY = 1.0
"""Seconds after which a caller may try again when the database is out of reach."""


class JobNotFound(ServiceError):
    """There is no job with this id."""

    code = Code.NOT_FOUND
    reason = "JOB_NOT_FOUND"

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"there is no job {job_id}", {"id": str(job_id)})


class JobIdTaken(ServiceError):
    """The client-chosen id belongs to a job that was asked for with other words."""

    code = Code.ALREADY_EXISTS
    reason = "JOB_ID_TAKEN"

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"id: job {job_id} was asked for with other words", {"id": str(job_id)})


class IdempotencyKeyReused(ServiceError):
    """The idempotency key was used with another request."""

    code = Code.ALREADY_EXISTS
    reason = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency-key: {key!r} was used for another request", {"key": key})


class TransitionRefused(ServiceError):
    """The job does not allow this step now. Metadata: `id`, and the job's current `status` and `attempt`."""

    code = Code.FAILED_PRECONDITION

    def __init__(self, reason: str, message: str, metadata: dict[str, str]) -> None:
        super().__init__(message, metadata)
        self.reason = reason


class ClaimStopped(ServiceError):
    """The worker must not take the job now, and the job waits on. Metadata: the job's `id`."""

    code = Code.FAILED_PRECONDITION

    def __init__(self, reason: str, job_id: UUID) -> None:
        super().__init__(
            f"job {job_id} is not to be claimed: a stop holds for its worker or its type", {"id": str(job_id)}
        )
        self.reason = reason


class WorkerNotRegistered(ServiceError):
    """The worker has to register before it may go on."""

    code = Code.NOT_FOUND
    reason = "WORKER_NOT_REGISTERED"

    def __init__(self, worker_id: str) -> None:
        super().__init__(f"worker {worker_id} is not registered", {"worker_id": worker_id})


class WorkerNotFound(ServiceError):
    """No worker of this name was heard of lately."""

    code = Code.NOT_FOUND
    reason = "WORKER_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"no worker named {name!r} was heard of in the last hour", {"name": name})


class WorkerNameTaken(ServiceError):
    """Another process has the name and may be alive. Metadata: its `worker_id`, `host`, `pid`, `last_heartbeat_time`."""

    code = Code.ALREADY_EXISTS
    reason = "WORKER_NAME_TAKEN"

    def __init__(self, holder: Worker) -> None:
        identity, heard = holder.identity, holder.last_heartbeat_time.isoformat(timespec="milliseconds")
        super().__init__(
            f"the worker name {identity.name!r} belongs to process {identity.pid} on host {identity.host!r}, "
            f"last heard of at {heard}",
            {
                "worker_id": identity.worker_id,
                "host": identity.host,
                "pid": str(identity.pid),
                "last_heartbeat_time": heard,
            },
        )


class FleetTooLarge(ServiceError):
    """All that the workers say of themselves is more than one answer can carry."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "FLEET_TOO_LARGE"

    def __init__(self, workers: int) -> None:
        super().__init__(f"{workers} workers are known, and do not fit into one answer")


class Overloaded(ServiceError):
    """More waits to be stored than may wait. Nothing of the refused call was done."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__("too much is waiting to be stored; try again", retry_delay=RETRY_DELAY)


class AnswerTooLarge(ServiceError):
    """What was asked for is more than one answer can carry."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "ANSWER_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the jobs are together larger than {limit} bytes; ask for fewer at a time")


class StoreUnavailable(ServiceError):
    """The database cannot be reached, or does not answer in time. Nothing acknowledged is lost."""

    code = Code.UNAVAILABLE
    reason = "DATABASE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the database is out of reach; try again", retry_delay=RETRY_DELAY)
