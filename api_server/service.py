"""Creates, reads and moves jobs: what JobService does, apart from how it is called and where jobs are kept."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from uuid_utils.compat import uuid7

from api_server.domain.errors import IdempotencyKeyReused, JobNotFound
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.listing import JobFilter, JobPage
from api_server.domain.steps import Leases, Step, to_transition
from api_server.ports import Clock, Dispatcher, JobStore, KeyStore, Taken
from service_runtime.errors import InvalidArgument, ServiceError, Violation, invalid

log = structlog.get_logger()

DISPATCH_GRACE = timedelta(seconds=5)
"""A job that nobody has claimed or marked as published by then is published by the due loop."""
KEY_LIFETIME = timedelta(hours=24)
"""How long an idempotency key is remembered."""
ID_TIME_BEFORE, ID_TIME_AFTER = timedelta(hours=24), timedelta(minutes=5)
"""A client-chosen id may carry a time as far before and after now; List relies on it."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """What Create is asked for."""

    type: str
    payload: dict[str, Any]
    labels: dict[str, str] = field(default_factory=dict)
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's name for one request; the hash tells whether another request comes under the same name."""

    value: str
    request_hash: bytes


class JobService:
    """See proto/jobs/v1/job_service.proto for each call's promises and failures."""

    def __init__(
        self,
        store: JobStore,
        keys: KeyStore,
        clock: Clock,
        dispatcher: Dispatcher,
        job_types: Collection[str],
        leases: Leases,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._dispatcher = dispatcher
        self._job_types = tuple(job_types)
        self._leases = leases

    async def create(self, wanted: NewJob, key: IdempotencyKey | None = None) -> Job:
        """Store a job; it is durable when this returns, and dispatched afterwards."""
        now = self._clock.now()
        self._check_type(wanted.type)
        job_id = new_job_id(now) if wanted.id is None else check_client_id(wanted.id, now)
        if key is not None:
            job_id, known_hash = await self._keys.remember(
                key.value, job_id, key.request_hash, now, now + KEY_LIFETIME
            )
            if known_hash != key.request_hash:
                raise IdempotencyKeyReused(key.value)
        job = Job(job_id, wanted.type, Status.QUEUED, wanted.payload, now, now, labels=wanted.labels)
        stored = await self._store.insert(job, now + DISPATCH_GRACE)
        if stored.status is Status.QUEUED:
            self._dispatcher.offer(Dispatch(stored.id, stored.type, stored.attempt, stored.payload))
        log.info("job_created", job_id=str(stored.id), type=stored.type, attempt=stored.attempt)
        return stored

    async def get(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""
        job = await self._store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    async def page(self, wanted: JobFilter, after: UUID | None, size: int) -> JobPage:
        """One page, newest first."""
        return await self._store.page(wanted, after, size)

    async def update(self, step: Step, key: str | None = None) -> Job:
        """Take one step; the job as it is afterwards. `key`: with the same one, a claim without a worker's name may be
        sent again.
        """
        (outcome,) = await self.update_batch([step], key)
        if isinstance(outcome, ServiceError):
            raise outcome
        return await self.get(step.job_id)

    async def update_batch(
        self, steps: Sequence[Step | InvalidArgument], key: str | None = None
    ) -> list[Taken | ServiceError]:
        """Take each step that is allowed; outcomes in order. A step that is an error already stays that.

        Raises InvalidArgument if a job stands there twice.
        """
        check_each_job_once(steps)
        now = self._clock.now()
        outcomes: dict[int, Taken | ServiceError] = {}
        transitions = {}
        for index, step in enumerate(steps):
            try:
                if isinstance(step, InvalidArgument):
                    raise step
                transitions[index] = to_transition(step, now, self._leases, claim_id=key or uuid4().hex)
            except InvalidArgument as error:
                outcomes[index] = error
        if transitions:
            applied = await self._store.apply(list(transitions.values()))
            outcomes |= dict(zip(transitions, applied, strict=True))
        self._dispatcher.claimed(
            [
                transition.job_id
                for index, transition in transitions.items()
                if isinstance(taken := outcomes[index], Taken) and taken.status is Status.PROCESSING
            ]
        )
        return [outcomes[index] for index in range(len(steps))]

    def _check_type(self, job_type: str) -> None:
        if job_type not in self._job_types:
            allowed = ", ".join(self._job_types)
            raise invalid("type", "type.known", f"must be one of {allowed}, is {job_type!r}")


def new_job_id(now: datetime) -> UUID:
    """A UUIDv7 of the database's time."""
    return uuid7(nanoseconds=round(now.timestamp() * 1000) * 1_000_000)


def check_client_id(job_id: UUID, now: datetime) -> UUID:
    """The id, if the time in it is near enough. Raises InvalidArgument."""
    milliseconds = job_id.int >> 80
    now_milliseconds = round(now.timestamp() * 1000)
    earliest = now_milliseconds - ID_TIME_BEFORE // timedelta(milliseconds=1)
    latest = now_milliseconds + ID_TIME_AFTER // timedelta(milliseconds=1)
    if not earliest <= milliseconds <= latest:
        off = (milliseconds - now_milliseconds) / 1000
        raise invalid(
            "id",
            "id.time",
            f"must carry a time between 24 hours ago and 5 minutes from now, is {off:+.0f} s off",
        )
    return job_id


def check_each_job_once(steps: Sequence[Step | InvalidArgument]) -> None:
    """Raise InvalidArgument naming each step whose job another step before it names."""
    seen: dict[UUID, int] = {}
    violations = []
    for index, step in enumerate(steps):
        if isinstance(step, InvalidArgument):
            continue
        first = seen.setdefault(step.job_id, index)
        if first != index:
            description = f"must stand in the batch once, is also requests[{first}].id"
            violations.append(Violation(f"requests[{index}].id", "batch.id_once", description))
    if violations:
        raise InvalidArgument(violations)
