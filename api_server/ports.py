"""What the services and the dispatcher need from outside. Adapters implement these.

Each Protocol has the calls that one user needs, so that a reader sees who may do what.

Every call to a store raises StoreUnavailable when the database cannot be reached or does not answer. When the
outcome of a write is unknown, the store itself sends the write again and reads back, for a few seconds,
before it gives up.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from api_server.domain.errors import JobIdTaken, JobNotFound, TransitionRefused
from api_server.domain.fleet import Fleet, Worker, WorkerIdentity, WorkerReport
from api_server.domain.job import Dispatch, Job, ProgressNote
from api_server.domain.listing import JobCount, JobFilter, JobPage, PageRequest, View
from api_server.domain.record_positions import RecordPosition
from api_server.domain.resolution import Applied
from api_server.domain.retry import Tries
from api_server.domain.status_update import StatusUpdate
from api_server.domain.transition import Transition
from contract_runtime.errors import InvalidArgument, ServiceError

# --- Time and availability ---


class Clock(Protocol):
    """The database's time, so that no two processes compare their own clocks."""

    def now(self) -> datetime:
        """Aware, UTC, cut to milliseconds. Never goes back, and is never ahead of the database."""


class Availability(Protocol):
    """For how long this server was able to serve heartbeats."""

    def unbroken_seconds(self) -> float | None:
        """Seconds without a break until now; None: it cannot serve them now."""


# --- Jobs, for the services ---

Outcome = Applied | JobNotFound | TransitionRefused | InvalidArgument
"""The result of one transition."""


class JobStore(Protocol):
    """Stores jobs by id. Only transitions change them. A call names each job at most once."""

    async def insert_all(
        self, jobs: Sequence[tuple[Job, datetime]]
    ) -> list[Job | JobIdTaken | InvalidArgument]:
        """Store new jobs, each with its due_time, on a majority of the database. Returns outcomes in order.

        Job: the stored job. If the same request was stored before, it is the older job, read without its
        result and its history. JobIdTaken: the id belongs to a job with another request (Job.same_request).
        InvalidArgument, field `payload`: the job cannot be stored.
        """

    async def get_all(self, job_ids: Sequence[UUID], view: View = View.FULL) -> list[Job | None]:
        """The jobs as a majority of the database has them; None: no such job. Raises AnswerTooLarge."""

    async def sizes(self, job_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Bytes of each job in the store. Jobs that do not exist are left out."""

    async def apply(self, transitions: Sequence[Transition], wanted: Collection[UUID] = ()) -> list[Outcome]:
        """Apply each transition whose guard holds, on a majority of the database. Returns outcomes in order.

        `wanted`: the jobs that the caller wants to see afterwards. Applied has such a job if the write itself
        can return it.

        InvalidArgument, field `result` or `error`: the store cannot hold what this transition reports.
        """

    async def summaries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Job]:
        """The jobs as a majority has them, without payload, result and history. Missing ones are left out."""

    async def tries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Tries]:
        """Each job's failures and retry policy. Jobs that do not exist are left out."""

    async def delete(self, job_id: UUID) -> bool:
        """Delete a job that has ended. False: there is no such job. Raises JobNotEnded."""

    async def page(self, wanted: JobFilter, page: PageRequest) -> JobPage:
        """One page of the wanted jobs. Examines at most 10,000 jobs."""

    async def count(self, wanted: JobFilter) -> JobCount:
        """How many wanted jobs there are. Examines at most 10,000 jobs."""


@dataclass(frozen=True, slots=True)
class EndedLeases:
    """How many leases were ended. `poison`: how many jobs of each type have failed thereby, as POISON."""

    count: int
    poison: Mapping[str, int] = field(default_factory=dict)


class LeaseStore(Protocol):
    """The jobs that workers hold, and the leases on them. A call names each job at most once."""

    async def move_leases(
        self, worker_id: str, job_ids: Sequence[UUID], now: datetime, lease_seconds: float
    ) -> None:
        """Move the leases that `worker_id` holds on `job_ids`, where less than half of their time is left."""

    async def still_held(self, worker_id: str, job_ids: Sequence[UUID]) -> set[UUID]:
        """The jobs among `job_ids` that `worker_id` holds."""

    async def note_progress(self, worker_id: str, notes: Sequence[ProgressNote], now: datetime) -> None:
        """Store the notes of attempts that `worker_id` holds, and drop the others."""

    async def release_all(self, worker_id: str, now: datetime) -> EndedLeases:
        """End the leases of all jobs that `worker_id` holds, as if they had run out."""


class KeyStore(Protocol):
    """Idempotency keys."""

    async def remember(
        self, key: str, job_id: UUID, request_hash: bytes, now: datetime, expire_time: datetime
    ) -> tuple[UUID, bytes]:
        """Store the key, unless it exists and has not expired. Returns the stored job id and hash."""


# --- The fleet, for its service ---


class WorkerStore(Protocol):
    """The latest worker of each name. It is forgotten after an hour without a heartbeat."""

    async def take_name(
        self,
        identity: WorkerIdentity,
        may_replace: Callable[[Worker], bool],
        now: datetime,
        session: str = "",
    ) -> Worker:
        """Register a worker unless its name's holder may not be replaced. Returns the holder afterwards.

        A holder that is the worker itself, but with another session, stays as it is.

        The same call again is harmless. A holder keeps its name if its heartbeat arrives while it is being
        replaced.
        """

    async def heartbeat(self, worker_id: str, report: WorkerReport, now: datetime) -> bool:
        """Store a worker's report. False: the worker is not registered, or another one has its name now."""

    async def workers(self) -> list[Worker]:
        """All workers with a heartbeat in the last hour, ordered by worker_id."""

    async def live_handlers(self, since: datetime) -> Mapping[str, AbstractSet[str]]:
        """The types of the workers that have sent a heartbeat at `since` or later and do not shut down.

        For each type the ids of the schemas that these workers have; "": one of them has none.
        """


class SessionStore(Protocol):
    """The sessions of registered workers."""

    async def sessions(self, worker_ids: Collection[str]) -> Mapping[str, str]:
        """The stored hash of each registered worker among these; "": it registered without a secret."""


class UpdateRefusals(Protocol):
    """Says which updates are not allowed, apart from what their jobs are like."""

    async def refusals(self, updates: Mapping[int, StatusUpdate]) -> Mapping[int, ServiceError]:
        """The refusals for forbidden updates, by the keys of `updates`. Raises StoreUnavailable."""


class FleetStore(Protocol):
    """The desired state of the workers."""

    async def fleet(self) -> Fleet:
        """The desired state; Fleet() if none is stored."""

    async def change(self, change: Callable[[Fleet], Fleet]) -> Fleet:
        """Replace the desired state by what `change` makes of it, and return the new one.

        `change` is called again when another server stored a state in between. Raises what `change` raises.
        """


class DesiredFleet(Protocol):
    """The desired state of the workers, from memory: a claim costs no read."""

    async def desired(self) -> Fleet:
        """The state as it was a moment ago. Raises StoreUnavailable."""


# --- From stored to published ---


class Dispatcher(Protocol):
    """Publishes jobs outside the request that stored them."""

    @property
    def grace(self) -> timedelta:
        """How long after its creation the next new job should be due."""

    def offer(self, dispatch: Dispatch, due_time: datetime) -> None:
        """Queue a dispatch; never blocks. With a full queue, the due loop publishes the job at `due_time`."""

    def jobs_claimed(self, job_ids: Sequence[UUID]) -> None:
        """Workers claimed these jobs by their records, which they read in order within a partition."""

    def jobs_withdrawn(self, job_ids: Sequence[UUID]) -> None:
        """These jobs do not wait for a worker any more, for another reason than a claim by its record."""


class Publisher(Protocol):
    """Tells workers that jobs wait."""

    async def publish(self, dispatches: Sequence[Dispatch]) -> list[RecordPosition | None]:
        """Write one record for each dispatch. Returns their positions in order.

        None: the broker has not confirmed the record (acks=all). Never raises because of the broker.
        """


@dataclass(frozen=True, slots=True)
class Published:
    """A job that was published at this attempt, and the position of its record."""

    job_id: UUID
    attempt: int
    position: RecordPosition


class PublishedMarks(Protocol):
    """Notes in the store which jobs were published, so that the due loop does not publish them at once."""

    async def mark_published(self, published: Sequence[Published], now: datetime) -> None:
        """Store the positions for jobs that still wait, and move their `due_time` ahead.

        It moves by 60 s, doubling with each mark up to 1 h, spread out. Jobs claimed meanwhile do not change.
        """
