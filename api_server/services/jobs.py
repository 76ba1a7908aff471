"""What each call of JobService does, apart from its messages and from where jobs are stored.

Creating jobs and status updates have modules of their own: creation.py and status_updates.py. Both write
through job_groups.py, which also gives new jobs to the dispatcher.
"""

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from api_server.domain.creation import DISPATCH_GRACE, NewJob
from api_server.domain.errors import JobNotFound
from api_server.domain.job import Job, Status
from api_server.domain.listing import JobCount, JobFilter, JobPage, PageRequest, View
from api_server.domain.notification import NOBODY, NotifyDefaults
from api_server.domain.resolution import Applied
from api_server.domain.status_update import Leases, StatusUpdate
from api_server.domain.transitions import cancel, retry
from api_server.ports import Clock, Dispatcher, JobStore, KeyStore, UpdateRefusals
from api_server.schema_ports import PayloadCheck, UncheckedPayloads
from api_server.services.batch_ids import check_each_once
from api_server.services.creation import CreationRules, IdempotencyKey, JobCreation
from api_server.services.job_groups import JobGroups
from api_server.services.permissions import JobPermissions
from api_server.services.ready_jobs import ReadyJobs
from api_server.services.status_updates import StatusUpdates
from api_server.stats_ports import ActivityLog, JobTypes
from contract_runtime.errors import InvalidArgument, ServiceError
from service_runtime.access.principal import Principal

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class JobRules:
    """Which types are known and what their payloads must be, how long claims hold, and who is notified by
    default. `chance`: a number from 0 to 1, which spreads the next tries of jobs.
    """

    types: JobTypes
    leases: Leases
    chance: Callable[[], float] = random.random
    notify: NotifyDefaults = NOBODY
    payloads: PayloadCheck = field(default_factory=UncheckedPayloads)


class JobService:
    """See proto/jobs/v1/job_service.proto for what each call promises and how it fails.

    Every call raises StoreUnavailable when the database cannot be reached.
    """

    def __init__(
        self,
        store: JobStore,
        keys: KeyStore,
        clock: Clock,
        dispatcher: Dispatcher,
        forbidden: UpdateRefusals,
        rules: JobRules,
        activity: ActivityLog,
    ) -> None:
        self._store = store
        self._clock = clock
        self._dispatcher = dispatcher
        self._ready = ReadyJobs(dispatcher, clock)
        self._groups = JobGroups(store, self._ready)
        self._creation = JobCreation(
            self._groups,
            keys,
            clock,
            dispatcher,
            activity,
            CreationRules(rules.types, rules.payloads, rules.notify),
        )
        self._updates = StatusUpdates(
            store, self._groups, clock, dispatcher, rules.leases, forbidden, rules.chance
        )
        self._activity = activity
        self._permissions = JobPermissions(store)

    async def create(self, wanted: NewJob, key: IdempotencyKey | None = None) -> Job:
        """The job of create_or_replay."""
        job, _ = await self.create_or_replay(wanted, key)
        return job

    async def create_or_replay(self, wanted: NewJob, key: IdempotencyKey | None) -> tuple[Job, bool]:
        """See JobCreation.create."""
        stored, is_replay = await self._creation.create(wanted, key)
        if stored.revision > 1:
            # The job was created by an earlier call and has changed since. It was read without its result.
            return await self.get(stored.id), is_replay
        return self.shown(stored), is_replay

    async def create_batch(self, wanted: Sequence[NewJob | InvalidArgument]) -> list[Job | ServiceError]:
        """See JobCreation.create_all."""
        outcomes = await self._creation.create_all(wanted)
        return [self.shown(each) if isinstance(each, Job) else each for each in outcomes]

    @asynccontextmanager
    async def reading(self, job_id: UUID) -> AsyncIterator[Job]:
        """The job, to be converted inside the block, see JobGroups.reading. Raises JobNotFound."""
        async with self._groups.reading(job_id) as job:
            if job is None:
                raise JobNotFound(job_id)
            yield self.shown(job)

    async def get(self, job_id: UUID) -> Job:
        """Raises JobNotFound."""
        async with self.reading(job_id) as job:
            return job

    async def get_batch(self, job_ids: Sequence[UUID], view: View = View.FULL) -> list[Job | None]:
        """The jobs in the order of the ids; None: no such job.

        Raises InvalidArgument if an id is there twice, and AnswerTooLarge.
        """
        check_each_once(job_ids, "ids[{}]")
        return [job and self.shown(job) for job in await self._store.get_all(job_ids, view)]

    async def page(self, wanted: JobFilter, page: PageRequest) -> JobPage:
        """See JobStore.page."""
        found = await self._store.page(wanted, page)
        return replace(found, jobs=[self.shown(job) for job in found.jobs])

    async def count(self, wanted: JobFilter) -> JobCount:
        """See JobStore.count."""
        return await self._store.count(wanted)

    async def update(self, update: StatusUpdate, key: str | None = None) -> Job:
        """The job of update_or_replay."""
        job, _ = await self.update_or_replay(update, key)
        return job

    async def update_or_replay(self, update: StatusUpdate, key: str | None = None) -> tuple[Job, bool]:
        """Apply one update; see StatusUpdates.apply_all. Returns the job afterwards, and whether an earlier
        call has made this change, if that is known.
        """
        (outcome,) = await self._updates.apply_all([update], key)
        if isinstance(outcome, ServiceError):
            raise outcome
        job = await self.get(update.job_id)
        self._count(update, outcome, job.type)
        return job, outcome.is_replay

    async def update_batch(
        self, updates: Sequence[StatusUpdate | InvalidArgument], by: Principal | None = None
    ) -> list[Applied | ServiceError]:
        """See StatusUpdates.apply_all. Raises PermissionDenied if `by` may not make all these updates."""
        await self._permissions.check_updates(updates, by)
        outcomes = await self._updates.apply_all(updates)
        for update, outcome in zip(updates, outcomes, strict=True):
            if isinstance(update, StatusUpdate) and isinstance(outcome, Applied):
                self._count(update, outcome, update.job_type)
        return outcomes

    async def cancel(self, job_id: UUID, reason: str, by: Principal | None = None) -> Job:
        """Cancel a job that has not ended. Returns it afterwards. Raises JobNotFound, TransitionRefused, and
        NotYourJob if `by` may not change it.
        """
        await self._permissions.check_change(job_id, by)
        await self._groups.apply(cancel(job_id, uuid4().hex, reason, self._clock.now()))
        self._dispatcher.jobs_withdrawn([job_id])
        log.info("job_cancelled", job_id=str(job_id))
        job = await self.get(job_id)
        self._activity.ended(job.type, Status.CANCELLED, job_id)
        return job

    async def retry(
        self, job_id: UUID, expire_time: datetime | None = None, by: Principal | None = None
    ) -> Job:
        """Queue a failed or cancelled job again. Returns it afterwards. Raises JobNotFound,
        TransitionRefused, and NotYourJob if `by` may not change it.

        `expire_time`: its new one; None: it keeps the one it has, which must not have passed.
        """
        await self._permissions.check_change(job_id, by)
        await self._groups.apply(retry(job_id, uuid4().hex, self._clock.now(), expire_time))
        job = await self.get(job_id)
        self._ready.offer(job, self._clock.now() + DISPATCH_GRACE)
        log.info("job_retried", job_id=str(job_id), attempt=job.attempt)
        return job

    async def delete(self, job_id: UUID) -> None:
        """Delete a job that has ended, if it exists. Raises JobNotEnded."""
        if await self._store.delete(job_id):
            log.info("job_deleted", job_id=str(job_id))

    def _count(self, update: StatusUpdate, outcome: Applied, job_type: str) -> None:
        if outcome.is_replay:
            return
        if outcome.status.is_terminal:
            self._activity.ended(job_type, outcome.status, update.job_id)
        elif update.is_start:
            self._activity.started(job_type)

    def shown(self, job: Job) -> Job:
        """The job as readers see it: a start time that has passed is not shown."""
        if job.next_attempt_time is None or job.is_waiting(self._clock.now()):
            return job
        return replace(job, next_attempt_time=None)
