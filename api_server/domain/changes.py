"""A change of a job as others see it, and which jobs a watch is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from api_server.domain.job import Job, Status
from api_server.domain.listing import JobFilter
from contract_runtime.value import value


@value
class JobChange:
    """What one change has set. `revision`: the job's after it. `position`: where it stands among all changes.

    `values`: attributes of Job. Payload, result and history are never among them.
    """

    job_id: UUID
    revision: int
    position: str
    values: Mapping[str, Any] = field(hash=False)
    is_new: bool = False
    """Whether the job was created, so that `values` are all it has."""
    is_complete: bool = True
    """False: the change sets something that `values` do not tell. The job must be read."""

    def applied_to(self, job: Job) -> Job:
        """The job after this change, when it is the next one."""
        return replace(job, **self.values)

    def created(self) -> Job:
        """The new job."""
        return Job(**{"payload": {}, **self.values})

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended by this change."""
        status: Status | None = self.values.get("status")
        return status is not None and status.is_terminal


def summary(job: Job) -> Job:
    """The job without what may be large: payload, result and history."""
    return replace(job, payload={}, result=None, past=(), stored_size=0, payload_size=None)


@dataclass(frozen=True, slots=True)
class WatchFilter:
    """The jobs with one of the statuses, one of the types, and all of the labels. Empty: no condition."""

    statuses: frozenset[Status] = frozenset()
    types: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)

    def admits(self, job: Job) -> bool:
        return (
            (not self.statuses or job.status in self.statuses)
            and (not self.types or job.type in self.types)
            and self.labels.items() <= job.labels.items()
        )

    def for_list(self) -> JobFilter:
        """The filter of a list that selects these jobs."""
        return JobFilter(self.statuses, self.types, self.labels)
