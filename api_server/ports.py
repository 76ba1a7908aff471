"""What the service needs from outside: a store, a clock, a way to tell workers. Adapters implement these.

Every store call raises StoreUnavailable when the database is out of reach or silent. A write whose outcome is unknown
is sent again and read back by the store itself, for a few seconds, before it gives up.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from api_server.domain.errors import JobIdTaken, JobNotFound, TransitionRefused
from api_server.domain.fleet import Fleet, Worker, WorkerIdentity, WorkerReport
from api_server.domain.job import Dispatch, Job, ProgressNote
from api_server.domain.listing import JobFilter, JobPage
from api_server.domain.record_positions import PartitionState, RecordPosition
from api_server.domain.resolution import Applied
from api_server.domain.retry import Tries
from api_server.domain.transition import Transition
from contract_runtime.errors import InvalidArgument


class Clock(Protocol):
    """The database's time, so that no two processes compare their own clocks."""

    def now(self) -> datetime:
        """Aware, UTC, cut to milliseconds, never earlier than what it said before, and never ahead of the database."""


class DatabaseClock(Clock, Protocol):
    """A clock that notices when the database's time jumps: at an election for example, for members' clocks differ."""

    def steady_seconds(self) -> float:
        """For how long the time has gone on without a jump. Leases were given in the time before it."""


Outcome = Applied | JobNotFound | TransitionRefused | InvalidArgument
"""What became of one transition."""


class JobStore(Protocol):
    """Jobs by id, changed only by transitions; several at a time, each of which stands in a call once at most."""

    async def insert_all(
        self, jobs: Sequence[tuple[Job, datetime]]
    ) -> list[Job | JobIdTaken | InvalidArgument]:
        """Store new jobs, each due at its time, with a majority of the database. For each the stored one: an older one if
        this very request was stored before, which is read without its result and its history. JobIdTaken: the id belongs to a job of other words (Job.same_request).
        InvalidArgument, field `payload`: it cannot be stored.
        """

    async def get_all(self, job_ids: Sequence[UUID]) -> list[Job | None]:
        """The jobs as a majority has them. Raises AnswerTooLarge."""

    async def sizes(self, job_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """How many bytes these take in the store; without those that are not there."""

    async def apply(self, transitions: Sequence[Transition]) -> list[Outcome]:
        """Take each step whose guard holds, with a majority; outcomes in order. Each job stands there once at most.

        InvalidArgument, field `result` or `error`: what this one step reports cannot be stored.
        """

    async def tries(self, job_ids: Sequence[UUID]) -> Mapping[UUID, Tries]:
        """How often these have failed and how they may go on; without those that are not there."""

    async def page(self, wanted: JobFilter, after: UUID | None, size: int) -> JobPage:
        """Jobs with ids below `after`, newest first, `size` at most, looking at 10,000 at most."""

    async def move_leases(
        self, worker_id: str, job_ids: Sequence[UUID], now: datetime, lease_seconds: float
    ) -> None:
        """Move the leases of those of `job_ids` that `worker_id` holds and that have under half of their time left."""

    async def still_held(self, worker_id: str, job_ids: Sequence[UUID]) -> set[UUID]:
        """Those of `job_ids` that `worker_id` holds."""

    async def note_progress(self, worker_id: str, notes: Sequence[ProgressNote], now: datetime) -> None:
        """Store the notes of attempts that `worker_id` holds; others are dropped. Each job stands there once at most."""

    async def release_all(self, worker_id: str, now: datetime) -> int:
        """End the leases of all jobs that `worker_id` holds, as if they had run out: how many."""


class DueStore(Protocol):
    """Jobs that somebody must look at again. Used by the one server that holds the due lease."""

    async def expire_leases(self, now: datetime, limit: int) -> int:
        """End up to `limit` leases that have run out: the job is queued again, due at once, or has failed as POISON;
        return how many.
        """

    async def expire(self, job_ids: Sequence[UUID], now: datetime) -> int:
        """Fail those of `job_ids` that wait and whose expire_time is over; return how many."""

    async def due(
        self, job_type: str, now: datetime, limit: int, after: datetime | None = None
    ) -> list["DueJob"]:
        """Up to `limit` queued jobs of a type that are due, the longest due first; of those only that became due later
        than `after`, if that is given.
        """

    async def mark_published(self, published: Sequence["Published"], now: datetime) -> None:
        """Note the places of those that still wait, and move their `due_time`: 60 s ahead, doubling each time up to
        1 h, spread out. Jobs claimed meanwhile are left alone.
        """


@dataclass(frozen=True, slots=True)
class Published:
    """A job that was published at this attempt, and where its record lies."""

    job_id: UUID
    attempt: int
    position: RecordPosition


@dataclass(frozen=True, slots=True)
class DueJob:
    """A waiting job that is due; `place` is where its latest record lies, if it was published since it was queued.

    `is_expired`: its expire_time is over, so that nobody may start it.
    """

    dispatch: Dispatch
    position: RecordPosition | None
    due_time: datetime
    is_expired: bool = False


class LeaderLease(Protocol):
    """A lease that one process at a time holds."""

    async def acquire(self, holder: str, seconds: float) -> bool:
        """Take the lease, or prolong it; whether `holder` has it now."""

    async def release(self, holder: str) -> None:
        """Give it up, if held."""


class KeyStore(Protocol):
    """Idempotency keys."""

    async def remember(
        self, key: str, job_id: UUID, request_hash: bytes, now: datetime, expire_time: datetime
    ) -> tuple[UUID, bytes]:
        """Store the key unless it is there and not expired; return the job id and hash that are stored under it."""


class WorkerStore(Protocol):
    """The workers: for each name, the latest process that has it. One not heard of for an hour is forgotten."""

    async def take_name(
        self, identity: WorkerIdentity, may_replace: Callable[[Worker], bool], now: datetime
    ) -> Worker:
        """Make a worker known under its name, unless another one has the name that may not be replaced; who has it
        then. Again is harmless. A holder that is heard of while it is being replaced keeps its name.
        """

    async def heartbeat(self, worker_id: str, report: WorkerReport, now: datetime) -> bool:
        """Store what a worker says; False if it is not known, or no longer."""

    async def workers(self) -> list[Worker]:
        """All that were heard of in the last hour, by worker_id."""


class FleetStore(Protocol):
    """The wish for the workers."""

    async def fleet(self) -> Fleet:
        """The wish; Fleet() if none was stored."""

    async def change(self, change: Callable[[Fleet], Fleet]) -> Fleet:
        """Store what `change` makes of the wish, and return it; `change` is called again when another came first.
        Raises what `change` raises.
        """


class Publisher(Protocol):
    """Tells workers that jobs wait."""

    async def publish(self, dispatches: Sequence[Dispatch]) -> list[RecordPosition | None]:
        """Write one record each; for each, where it lies, or None if the broker is not known to have it (acks=all).
        Never raises for the broker's sake.
        """

    async def logs(self, job_type: str, partitions: Collection[int]) -> Mapping[int, PartitionState] | None:
        """Those of `partitions` of the type's topic that exist; None: the broker does not say."""


class Dispatcher(Protocol):
    """Publishes outside the request."""

    @property
    def grace(self) -> timedelta:
        """How long after its creation a job is to be due that is offered next."""

    def offer(self, dispatch: Dispatch, due_time: datetime) -> None:
        """Queue a dispatch; never blocks. What does not fit in the queue is published by the due loop, which takes the job
        up at `due_time`.
        """

    def claimed(self, job_ids: Sequence[UUID]) -> None:
        """Workers have claimed these, whose records they came to in their order."""

    def withdrawn(self, job_ids: Sequence[UUID]) -> None:
        """These wait for no worker any more, for another reason."""
