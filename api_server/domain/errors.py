"""Errors of the API server that callers receive.

ServiceError
├── JobNotFound
├── NotYourJob                            another principal has created the job
├── JobIdTaken, IdempotencyKeyReused      another request has used this id or key before
├── TransitionRefused                     the job does not allow this change now
├── JobNotEnded                           only jobs that have ended can be deleted
├── ClaimStopped                          the fleet, the worker or the job type is stopped
├── WorkerNotRegistered, WorkerNotFound
├── WorkerNameTaken                       another process has the name and may be alive
├── OperationNotFound, TooManyOperations
├── AnswerTooLarge
├── Overloaded                            too many requests wait to be stored
├── ReadsOverloaded                       too many reads of many or large jobs wait
├── TooManyWaits, TooManyWatches          too many calls wait for jobs
├── ResumeTokenExpired, SlowReader        a watch cannot go on
├── StoreUnavailable                      the database cannot be reached
└── InvalidArgument                       (contract_runtime.errors)
"""

from uuid import UUID

from google.rpc.code_pb2 import Code

from api_server.domain.fleet import Worker
from api_server.domain.job import Status
from contract_runtime.errors import ServiceError

RETRY_DELAY = 1.0
"""Seconds after which a caller may try again."""


class JobNotFound(ServiceError):
    """There is no job with this id."""

    code = Code.NOT_FOUND
    reason = "JOB_NOT_FOUND"

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"there is no job {job_id}", {"id": str(job_id)})


class NotYourJob(ServiceError):
    """The job was created by another principal, or while callers were not known."""

    code = Code.PERMISSION_DENIED
    reason = "NOT_YOUR_JOB"

    def __init__(self, job_id: UUID) -> None:
        super().__init__(
            f"job {job_id} is not yours: only its creator or an operator may cancel or retry it",
            {"id": str(job_id)},
        )


class JobIdTaken(ServiceError):
    """A job with this client-chosen id already exists, created by a different request."""

    code = Code.ALREADY_EXISTS
    reason = "JOB_ID_TAKEN"

    def __init__(self, job_id: UUID) -> None:
        super().__init__(f"id: job {job_id} already exists with a different request", {"id": str(job_id)})


class IdempotencyKeyReused(ServiceError):
    """The idempotency key was used with a different request before."""

    code = Code.ALREADY_EXISTS
    reason = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency-key: {key!r} was used with a different request", {"key": key})


class TransitionRefused(ServiceError):
    """The job does not allow this change now.

    Metadata: `id`, and the job's current `status` and `attempt`.
    """

    code = Code.FAILED_PRECONDITION

    def __init__(self, reason: str, message: str, metadata: dict[str, str]) -> None:
        super().__init__(message, metadata)
        self.reason = reason


class JobNotEnded(ServiceError):
    """Only a job that has ended can be deleted.

    Metadata: `id`, and the job's current `status` and `attempt`.
    """

    code = Code.FAILED_PRECONDITION
    reason = "JOB_NOT_ENDED"

    def __init__(self, job_id: UUID, status: Status, attempt: int) -> None:
        super().__init__(
            f"job {job_id} has not ended: it is {status.value}; cancel it before you delete it",
            {"id": str(job_id), "status": status.value, "attempt": str(attempt)},
        )


class ClaimStopped(ServiceError):
    """The worker must not claim the job now; the job stays queued. Metadata: the job's `id`."""

    code = Code.FAILED_PRECONDITION

    def __init__(self, reason: str, job_id: UUID) -> None:
        super().__init__(
            f"job {job_id} must not be claimed: the worker or the job type is stopped", {"id": str(job_id)}
        )
        self.reason = reason


class WorkerNotRegistered(ServiceError):
    """The worker must register before it may continue."""

    code = Code.NOT_FOUND
    reason = "WORKER_NOT_REGISTERED"

    def __init__(self, worker_id: str) -> None:
        super().__init__(f"worker {worker_id} is not registered", {"worker_id": worker_id})


class WorkerNotFound(ServiceError):
    """No worker of this name has sent a heartbeat in the last hour."""

    code = Code.NOT_FOUND
    reason = "WORKER_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"no worker named {name!r} has sent a heartbeat in the last hour", {"name": name})


class WorkerNameTaken(ServiceError):
    """Another process has the name and may be alive.

    Metadata: its `worker_id`, `host`, `pid`, `last_heartbeat_time`.
    """

    code = Code.ALREADY_EXISTS
    reason = "WORKER_NAME_TAKEN"

    def __init__(self, holder: Worker) -> None:
        identity = holder.identity
        last_heartbeat = holder.last_heartbeat_time.isoformat(timespec="milliseconds")
        super().__init__(
            f"the worker name {identity.name!r} belongs to process {identity.pid} on host {identity.host!r}, "
            f"whose last heartbeat was at {last_heartbeat}",
            {
                "worker_id": identity.worker_id,
                "host": identity.host,
                "pid": str(identity.pid),
                "last_heartbeat_time": last_heartbeat,
            },
        )


class WorkerSessionWrong(ServiceError):
    """The call names a worker without the session that the worker has registered with."""

    code = Code.PERMISSION_DENIED
    reason = "WORKER_SESSION_WRONG"

    def __init__(self, worker_id: str) -> None:
        super().__init__(
            f"worker {worker_id} is registered: who acts in its name must send its worker-session",
            {"worker_id": worker_id},
        )


class OperationNotFound(ServiceError):
    """There is no operation with this id."""

    code = Code.NOT_FOUND
    reason = "OPERATION_NOT_FOUND"

    def __init__(self, operation_id: UUID) -> None:
        super().__init__(f"there is no operation {operation_id}", {"id": str(operation_id)})


class TooManyOperations(ServiceError):
    """Too many operations have not ended yet. No operation was begun."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_OPERATIONS"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} operations have not ended; wait, or cancel one", retry_delay=RETRY_DELAY)


class Overloaded(ServiceError):
    """Too many requests wait to be stored. Nothing in the refused call was done."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__("too many requests wait to be stored; try again", retry_delay=RETRY_DELAY)


class ReadsOverloaded(ServiceError):
    """Too many reads of many or large jobs wait. The refused call has read nothing."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__(
            "too many calls read many or large jobs; try again, or ask for the basic view",
            retry_delay=RETRY_DELAY,
        )


class TooManyWaits(ServiceError):
    """Too many calls of one API server process wait for the end of a job. The refused call had no effect."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_WAITS"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} calls wait for the end of a job already; try again, or call without `wait`",
            retry_delay=RETRY_DELAY,
        )


class TooManyWatches(ServiceError):
    """Too many calls of one API server process watch jobs."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_WATCHES"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} calls watch jobs already; try again", retry_delay=RETRY_DELAY)


class ResumeTokenExpired(ServiceError):
    """The changes since the resume_token are not kept any more."""

    code = Code.FAILED_PRECONDITION
    reason = "RESUME_TOKEN_EXPIRED"

    def __init__(self) -> None:
        super().__init__("resume_token: the changes since then are not kept any more; watch again without it")


class SlowReader(ServiceError):
    """The caller of a watch has read nothing for too long."""

    code = Code.ABORTED
    reason = "SLOW_READER"

    def __init__(self) -> None:
        super().__init__("the caller reads too slowly; watch again with the latest resume_token")


class AnswerTooLarge(ServiceError):
    """The requested jobs are larger than an answer may be."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "ANSWER_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the jobs are larger than {limit} bytes together; request fewer at a time")


class WrongStoreAddress(Exception):
    """The address of the database is wrong. The message says how to write it. It does not show it: an address
    may contain a password.
    """


class StoreUnavailable(ServiceError):
    """The database cannot be reached, or does not answer in time. Nothing that was acknowledged is lost."""

    code = Code.UNAVAILABLE
    reason = "DATABASE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the database cannot be reached; try again", retry_delay=RETRY_DELAY)
