"""Creates, reads and moves jobs: what JobService does, apart from how it is called and where jobs are kept."""

import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import structlog

from api_server.domain.creation import (
    DISPATCH_GRACE,
    NewJob,
    check_client_id,
    first_due_time,
    new_job_id,
)
from api_server.domain.errors import ClaimStopped, IdempotencyKeyReused, JobNotFound, StoreUnavailable
from api_server.domain.fleet import Fleet
from api_server.domain.job import Dispatch, Job, Status
from api_server.domain.listing import JobFilter, JobPage
from api_server.domain.resolution import Applied
from api_server.domain.retry import UNTRIED, Tries
from api_server.domain.status_update import Leases, StatusUpdate, UpdateContext, to_transition
from api_server.domain.transition import Transition
from api_server.domain.transitions import cancel, retry
from api_server.ports import Clock, Dispatcher, JobStore, KeyStore
from api_server.services.job_groups import JobGroups
from contract_runtime.errors import InvalidArgument, ServiceError, Violation, invalid

log = structlog.get_logger()
T = TypeVar("T")

KEY_LIFETIME = timedelta(hours=24)
"""How long an idempotency key is remembered."""


async def _nothing_is_stopped() -> Fleet:
    return Fleet()


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
        chance: Callable[[], float] = random.random,
        desired: Callable[[], Awaitable[Fleet]] = _nothing_is_stopped,
    ) -> None:
        """`chance`: a number from 0 to 1, which spreads the next tries of jobs. `wish`: what the fleet shall do."""
        self._store = store
        self._groups = JobGroups(store, on_insert=self._offer)
        self._keys = keys
        self._clock = clock
        self._dispatcher = dispatcher
        self._job_types = tuple(job_types)
        self._leases = leases
        self._chance = chance
        self._desired = desired

    async def create(self, wanted: NewJob, key: IdempotencyKey | None = None) -> Job:
        """Store a job; it is durable when this returns, and dispatched afterwards."""
        now = self._clock.now()
        job = self._new_job(wanted, now)
        if key is not None:
            job_id, known_hash = await self._keys.remember(
                key.value, job.id, key.request_hash, now, now + KEY_LIFETIME
            )
            if known_hash != key.request_hash:
                raise IdempotencyKeyReused(key.value)
            job = replace(job, id=job_id)
        stored = await self._groups.insert(job, first_due_time(job, self._dispatcher.grace))
        log.debug("job_created", job_id=str(stored.id), type=stored.type, attempt=stored.attempt)
        if stored.revision > 1:
            # It was there before and has changed since.
            return await self.get(stored.id)
        return self._shown(stored)

    async def create_batch(self, wanted: Sequence[NewJob | InvalidArgument]) -> list[Job | ServiceError]:
        """Store each job that may be stored; outcomes in order. One that is an error already stays that.

        Raises InvalidArgument if a chosen id stands there twice.
        """
        check_each_once([None if isinstance(each, InvalidArgument) else each.id for each in wanted])
        now, grace = self._clock.now(), self._dispatcher.grace
        outcomes: dict[int, Job | ServiceError] = {}
        jobs: dict[int, tuple[Job, datetime]] = {}
        for index, each in enumerate(wanted):
            try:
                job = self._new_job(each, now)
                jobs[index] = job, first_due_time(job, grace)
            except InvalidArgument as error:
                outcomes[index] = error
        if jobs:
            stored = await self._groups.insert_all(list(jobs.values()))
            outcomes |= dict(zip(jobs, stored, strict=True))
        log.debug("jobs_created", count=sum(isinstance(outcome, Job) for outcome in outcomes.values()))
        return [self._shown_or_error(outcomes[index]) for index in range(len(wanted))]

    async def get(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""
        return await self.read(job_id, _itself)

    async def read(self, job_id: UUID, then: Callable[[Job], Awaitable[T]]) -> T:
        """What `then` makes of a job; see JobGroups.get. Raises JobNotFound."""

        async def make(job: Job | None) -> T:
            if job is None:
                raise JobNotFound(job_id)
            return await then(self._shown(job))

        return await self._groups.get(job_id, make)

    async def get_batch(self, job_ids: Sequence[UUID]) -> list[Job | None]:
        """The jobs in the order of the ids; None: there is none.

        Raises InvalidArgument if an id stands there twice, AnswerTooLarge.
        """
        check_each_once(job_ids, "ids[{}]")
        return [job and self._shown(job) for job in await self._store.get_all(job_ids)]

    async def page(self, wanted: JobFilter, after: UUID | None, size: int) -> JobPage:
        """One page, newest first."""
        page = await self._store.page(wanted, after, size)
        return replace(page, jobs=[self._shown(job) for job in page.jobs])

    async def cancel(self, job_id: UUID, reason: str) -> Job:
        """Call a job off; the job as it is afterwards."""
        await self._groups.apply(cancel(job_id, uuid4().hex, reason, self._clock.now()))
        self._dispatcher.withdrawn([job_id])
        log.info("job_cancelled", job_id=str(job_id))
        return await self.get(job_id)

    async def retry(self, job_id: UUID, expire_time: datetime | None = None) -> Job:
        """Queue a failed or cancelled job once more; the job as it is afterwards. `expire_time`: its new one, if any."""
        await self._groups.apply(retry(job_id, uuid4().hex, self._clock.now(), expire_time))
        job = await self.get(job_id)
        self._offer(job, self._clock.now() + DISPATCH_GRACE)
        log.info("job_retried", job_id=str(job_id), attempt=job.attempt)
        return job

    async def update(self, update: StatusUpdate, key: str | None = None) -> Job:
        """Take one step; the job as it is afterwards. `key`: with the same one, a claim without a worker's name may be
        sent again.
        """
        (outcome,) = await self.update_batch([update], key)
        if isinstance(outcome, ServiceError):
            raise outcome
        return await self.get(update.job_id)

    async def update_batch(
        self, updates: Sequence[StatusUpdate | InvalidArgument], key: str | None = None
    ) -> list[Applied | ServiceError]:
        """Take each step that is allowed; outcomes in order. A step that is an error already stays that.

        Raises InvalidArgument if a job stands there twice.
        """
        check_each_once(
            [None if isinstance(update, InvalidArgument) else update.job_id for update in updates]
        )
        now = self._clock.now()
        tries = await self._tries(updates)
        given = UpdateContext(now, self._leases)
        outcomes: dict[int, Applied | ServiceError] = {}
        transitions: dict[int, Transition] = {}
        for index, update in enumerate(updates):
            try:
                if isinstance(update, InvalidArgument):
                    raise update
                transitions[index] = to_transition(update, self._given(update, given, tries, key))
            except InvalidArgument as error:
                outcomes[index] = error
        for index, refusal in (await self._stopped(updates, transitions)).items():
            del transitions[index]
            outcomes[index] = refusal
        if transitions:
            applied = await self._apply(list(transitions.values()))
            outcomes |= dict(zip(transitions, applied, strict=True))
        started = [
            transition
            for index, transition in transitions.items()
            if isinstance(taken := outcomes[index], Applied) and taken.status is Status.PROCESSING
        ]
        self._dispatcher.claimed([each.job_id for each in started if not each.claim_id])
        # Whoever claims without a worker's name has no record to go by.
        self._dispatcher.withdrawn([each.job_id for each in started if each.claim_id])
        return [outcomes[index] for index in range(len(updates))]

    async def _stopped(
        self, updates: Sequence[StatusUpdate | InvalidArgument], indexes: Collection[int]
    ) -> Mapping[int, ClaimStopped]:
        """The claims that a stop forbids, by their index. One that was taken before, whose answer was lost, is none."""
        if not any(isinstance(update, StatusUpdate) and update.claim is not None for update in updates):
            return {}
        desired = await self._desired()
        if not desired.stops_anything:
            return {}
        claims = {
            index: (claim, update.job_id)
            for index in indexes
            if isinstance(update := updates[index], StatusUpdate) and (claim := update.claim) is not None
        }
        stopped = {
            index: ClaimStopped(reason, job_id)
            for index, (claim, job_id) in claims.items()
            if (reason := desired.stop_of(claim.worker_id, claim.expected_type)) is not None
        }
        held: set[UUID] = set()
        for worker_id in {claims[index][0].worker_id for index in stopped}:
            held |= await self._store.still_held(worker_id, [claims[index][1] for index in stopped])
        return {index: refusal for index, refusal in stopped.items() if claims[index][1] not in held}

    async def _apply(self, transitions: Sequence[Transition]) -> Sequence[Applied | ServiceError]:
        """Outcomes in order. One alone goes together with others' that wait."""
        if len(transitions) > 1:
            return await self._store.apply(transitions)
        try:
            return [await self._groups.apply(transitions[0])]
        except StoreUnavailable:
            raise
        except ServiceError as error:
            return [error]

    def _given(
        self, update: StatusUpdate, common: UpdateContext, tries: Mapping[UUID, Tries], key: str | None
    ) -> UpdateContext:
        """What holds for all steps of a call, and what this one depends on besides."""
        if update.is_unfenced_claim:
            return replace(common, claim_id=key or uuid4().hex)
        if update.may_be_tried_again:
            return replace(common, tries=tries.get(update.job_id, UNTRIED), chance=self._chance())
        return common

    async def _tries(self, updates: Sequence[StatusUpdate | InvalidArgument]) -> Mapping[UUID, Tries]:
        """Of jobs whose failures may not be their last. Others cost no read."""
        failing = [
            update.job_id
            for update in updates
            if isinstance(update, StatusUpdate) and update.may_be_tried_again
        ]
        return await self._store.tries(failing) if failing else {}

    def _offer(self, job: Job, due_time: datetime) -> None:
        """Have a job published that may be started now. `due_time`: when it is looked at otherwise."""
        now = self._clock.now()
        if job.status is Status.QUEUED and not job.is_waiting(now) and not job.is_expired(now):
            self._dispatcher.offer(Dispatch.of(job), due_time)

    def _shown(self, job: Job) -> Job:
        """Without a time to start that is over."""
        if job.next_attempt_time is None or job.is_waiting(self._clock.now()):
            return job
        return replace(job, next_attempt_time=None)

    def _shown_or_error(self, outcome: Job | ServiceError) -> Job | ServiceError:
        return self._shown(outcome) if isinstance(outcome, Job) else outcome

    def _new_job(self, wanted: NewJob | InvalidArgument, now: datetime) -> Job:
        """Raises InvalidArgument if the type is not known, or a time or an id's time out of range."""
        if isinstance(wanted, InvalidArgument):
            raise wanted
        self._check_type(wanted.type)
        wanted.check_times(now)
        job_id = new_job_id(now) if wanted.id is None else check_client_id(wanted.id, now)
        return wanted.to_job(job_id, now)

    def _check_type(self, job_type: str) -> None:
        if job_type not in self._job_types:
            allowed = ", ".join(self._job_types)
            raise invalid("type", "type.known", f"must be one of {allowed}, is {job_type!r}")


async def _itself(job: Job) -> Job:
    return job


def check_each_once(job_ids: Sequence[UUID | None], field: str = "requests[{}].id") -> None:
    """Raise InvalidArgument naming each item whose job another one before it names. None: it names none.

    `field`: where an item names it, by the item's index.
    """
    seen: dict[UUID, int] = {}
    violations = []
    for index, job_id in enumerate(job_ids):
        if job_id is None:
            continue
        first = seen.setdefault(job_id, index)
        if first != index:
            description = f"must stand in the batch once, is also {field.format(first)}"
            violations.append(Violation(field.format(index), "batch.id_once", description))
    if violations:
        raise InvalidArgument(violations)
