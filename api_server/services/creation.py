"""Creates jobs: checks what is asked for, and stores it once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from api_server.domain.creation import NewJob, check_client_id, first_due_time, new_job_id
from api_server.domain.errors import IdempotencyKeyReused
from api_server.domain.job import Job
from api_server.domain.notification import NotifyDefaults
from api_server.domain.payload_size import size_or_least
from api_server.ports import Clock, Dispatcher, KeyStore
from api_server.schema_ports import PayloadCheck
from api_server.services.batch_ids import check_each_once
from api_server.services.job_groups import JobGroups
from api_server.services.unknown_type import unknown_type
from api_server.stats_ports import ActivityLog, JobTypes
from contract_runtime.errors import InvalidArgument, ServiceError, invalid
from contract_runtime.webhooks import WEBHOOK_TYPE

log = structlog.get_logger()

KEY_LIFETIME = timedelta(hours=24)
"""How long an idempotency key is remembered."""
MAX_EXPLAINED = 64 * 1024
"""Bytes of refused payloads in a batch, after which the errors of further ones do not name wrong fields."""


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's name for one request. The hash tells a repeated request from another one."""

    value: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class CreationRules:
    """Which types are known, what their payloads must be, and who is notified by default."""

    types: JobTypes
    payloads: PayloadCheck
    notify: NotifyDefaults


class JobCreation:
    """A job is durable when its call returns, and is dispatched afterwards."""

    def __init__(
        self,
        groups: JobGroups,
        keys: KeyStore,
        clock: Clock,
        dispatcher: Dispatcher,
        activity: ActivityLog,
        rules: CreationRules,
    ) -> None:
        self._groups = groups
        self._keys = keys
        self._clock = clock
        self._dispatcher = dispatcher
        self._job_types = rules.types
        self._payloads = rules.payloads
        self._activity = activity
        self._notify_defaults = rules.notify

    async def create(self, wanted: NewJob, key: IdempotencyKey | None) -> tuple[Job, bool]:
        """Store a job. Returns the older job if the same request was stored before, see JobStore.insert_all,
        and whether an earlier call has used the key.

        Raises InvalidArgument, IdempotencyKeyReused, JobIdTaken and StoreUnavailable.
        """
        await self._job_types.look_up(_types_of(wanted))
        now = self._clock.now()
        job = self._new_job(wanted, now)
        is_replay = False
        if key is not None:
            job_id, known_hash = await self._keys.remember(
                key.value, job.id, key.request_hash, now, now + KEY_LIFETIME
            )
            if known_hash != key.request_hash:
                raise IdempotencyKeyReused(key.value)
            is_replay = job_id != job.id
            job = replace(job, id=job_id)
        stored = await self._groups.insert(job, first_due_time(job, self._dispatcher.grace))
        # With an id chosen by the client, the time tells.
        is_replay |= key is not None and stored.create_time < job.create_time
        self._count(job, stored)
        log.debug("job_created", job_id=str(stored.id), type=stored.type, attempt=stored.attempt)
        return stored, is_replay

    async def create_all(self, wanted: Sequence[NewJob | InvalidArgument]) -> list[Job | ServiceError]:
        """Store each job that can be stored. Returns outcomes in order; an error among the items stays.

        Raises InvalidArgument if two items choose the same id, and StoreUnavailable.
        """
        check_each_once([None if isinstance(each, InvalidArgument) else each.id for each in wanted])
        jobs_wanted = (each for each in wanted if isinstance(each, NewJob))
        await self._job_types.look_up({job_type for each in jobs_wanted for job_type in _types_of(each)})
        now, grace = self._clock.now(), self._dispatcher.grace
        outcomes: dict[int, Job | ServiceError] = {}
        jobs: dict[int, tuple[Job, datetime]] = {}
        refused = 0
        for index, each in enumerate(wanted):
            try:
                job = self._new_job(each, now, explained=refused < MAX_EXPLAINED)
                jobs[index] = job, first_due_time(job, grace)
            except InvalidArgument as error:
                outcomes[index] = error
                refused += size_or_least(each.payload_size, each.payload) if isinstance(each, NewJob) else 0
        if jobs:
            stored = await self._groups.insert_all(list(jobs.values()))
            outcomes |= dict(zip(jobs, stored, strict=True))
            for (job, _), outcome in zip(jobs.values(), stored, strict=True):
                self._count(job, outcome)
        log.debug("jobs_created", count=sum(isinstance(outcome, Job) for outcome in outcomes.values()))
        return [outcomes[index] for index in range(len(wanted))]

    def _count(self, wanted: Job, stored: Job | ServiceError) -> None:
        """Count the job, unless it was stored before by the same request."""
        if isinstance(stored, Job) and stored.create_time == wanted.create_time:
            self._activity.created(stored.type)

    def _new_job(self, wanted: NewJob | InvalidArgument, now: datetime, *, explained: bool = True) -> Job:
        """Raises InvalidArgument if the type is unknown or reserved, if the payload does not fit the type, if
        nobody delivers the webhook, or if a time or the id's time is out of range.
        """
        if isinstance(wanted, InvalidArgument):
            raise wanted
        self._check_type(wanted.type)
        self._payloads.check(wanted.type, wanted.payload, wanted.payload_size, explained=explained)
        if wanted.notify is not None and WEBHOOK_TYPE not in self._job_types:
            raise invalid(
                "notify", "notify.enabled", "must not be set: no worker of this server delivers webhooks"
            )
        wanted.check_times(now)
        job_id = new_job_id(now) if wanted.id is None else check_client_id(wanted.id, now)
        return wanted.to_job(job_id, now, self._notify_defaults.for_type(wanted.type))

    def _check_type(self, job_type: str) -> None:
        if job_type == WEBHOOK_TYPE:
            # Otherwise anybody could have a worker sign what they like, and send it where they like.
            rule = f"must not be {WEBHOOK_TYPE}: only the server itself creates jobs of this type"
            raise invalid("type", "type.reserved", rule)
        if job_type not in self._job_types:
            raise unknown_type("type", job_type, self._job_types)


def _types_of(wanted: NewJob) -> tuple[str, ...]:
    """The types that must be known: also that of the webhook, if the request asks for one."""
    return (wanted.type,) if wanted.notify is None else (wanted.type, WEBHOOK_TYPE)
