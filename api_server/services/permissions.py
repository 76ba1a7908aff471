"""What a caller may do with jobs, beyond what its role may call: its own jobs, and jobs of its types.

The owner and the type of a job never change, so they can be read before the write that they allow.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID

from api_server.domain.errors import JobNotFound, NotYourJob
from api_server.domain.job import Job
from api_server.domain.status_update import StatusUpdate
from api_server.ports import JobStore
from contract_runtime.roles import Role
from service_runtime.access.principal import Principal
from service_runtime.access.refusals import RoleMissing, TypeNotAllowed


class JobPermissions:
    """`by` is the caller; None: callers are not known, and may do all. Then nothing is read."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    async def check_change(self, job_id: UUID, by: Principal | None) -> None:
        """Raises NotYourJob if the caller may not cancel or retry the job, and JobNotFound."""
        if by is None or by.is_operator:
            return
        job = (await self._store.summaries([job_id])).get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        if job.owner != by.name:
            raise NotYourJob(job_id)

    async def check_updates(self, updates: Iterable[StatusUpdate | object], by: Principal | None) -> None:
        """Raises RoleMissing if a worker changes a job that it does not claim or hold, and TypeNotAllowed."""
        if by is None or by.is_operator:
            return
        valid = [each for each in updates if isinstance(each, StatusUpdate)]
        if any(each.guard is None for each in valid):
            raise RoleMissing(by.role, {Role.OPERATOR}, "an update without a claim or a token")
        await self.check_types_of([each.job_id for each in valid], by)

    async def check_types_of(self, job_ids: Sequence[UUID], by: Principal | None) -> None:
        """Raises TypeNotAllowed. Jobs that do not exist are of no type."""
        if by is not None and by.types and job_ids:
            check_types([job.type for job in (await self._store.summaries(job_ids)).values()], by)


def check_type(job: Job, by: Principal | None) -> None:
    """Raises TypeNotAllowed."""
    if by is not None and by.types:
        check_types([job.type], by)


def check_types(types: Iterable[str], by: Principal | None) -> None:
    """Raises TypeNotAllowed if the caller is limited to other types."""
    if by is not None and by.types and (wrong := set(types) - by.types):
        raise TypeNotAllowed(by, wrong)
