"""From the changes of jobs to their states. Pure.

A change says only what it has set. Its job's state follows from the state before. If that is not known, the
job is read. The state that is read may be later than the change: then the changes up to it are left out, and
the state stands at the change that has made it. So states never go back, and each state has the position of
its change.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from uuid import UUID

from api_server.domain.changes import JobChange
from api_server.domain.job import Job
from contract_runtime.value import value

KNOWN_JOBS = 5000
"""Jobs that have not ended and whose state is kept. The state of any other job is read at its next change."""


@value
class Known:
    """A job's state. `is_ahead`: it was read, and the change that has made it was not seen yet."""

    job: Job
    is_ahead: bool


class Tracker:
    """Keeps the states of `limit` jobs: of those that changed last."""

    def __init__(self, limit: int = KNOWN_JOBS) -> None:
        self._limit = limit
        self._known: OrderedDict[UUID, Known] = OrderedDict()

    def unknown(self, changes: Iterable[JobChange]) -> list[UUID]:
        """The jobs to be read, and to be given to `learn`, before these changes are given to `states`."""
        revisions: dict[UUID, float] = {}
        missing: dict[UUID, None] = {}
        for change in changes:
            revision = revisions.get(change.job_id)
            if revision is None:
                known = self._known.get(change.job_id)
                revision = 0 if known is None else known.job.revision
            follows = change.is_new or (revision and change.revision <= revision + 1)
            if follows and (change.is_complete or change.revision <= revision):
                revisions[change.job_id] = max(revision, change.revision)
            else:
                missing[change.job_id] = None
                revisions[change.job_id] = float("inf")
        return list(missing)

    def learn(self, jobs: Iterable[Job]) -> None:
        """States that were read, in place of what was known."""
        for job in jobs:
            self._keep(Known(job, is_ahead=True))

    def learn_if_unknown(self, job: Job) -> None:
        """A state that was read anyway."""
        if job.id not in self._known and not job.status.is_terminal and len(self._known) < self._limit:
            self._keep(Known(job, is_ahead=True))

    def states(self, changes: Sequence[JobChange]) -> list[tuple[Job, str]]:
        """The states after these changes, each with its position.

        There is none for a change when a later state of its job is known, or when the job does not exist.
        """
        seen = [(self._see(change), change.position) for change in changes]
        self._forget(change.job_id for change in changes)
        return [(job, position) for job, position in seen if job is not None]

    def _see(self, change: JobChange) -> Job | None:
        known = self._known.get(change.job_id)
        if known is not None and change.revision <= known.job.revision:
            if change.revision < known.job.revision or not known.is_ahead:
                return None
            job = known.job
        elif change.is_new:
            job = change.created()
        elif known is not None and change.revision == known.job.revision + 1 and change.is_complete:
            job = change.applied_to(known.job)
        else:
            self._known.pop(change.job_id, None)
            return None
        self._keep(Known(job, is_ahead=False))
        return job

    def _forget(self, changed: Iterable[UUID]) -> None:
        """Forget jobs that have ended, and the oldest beyond the limit. Only after a whole batch: what
        `unknown` has not named must be known until then.
        """
        for job_id in changed:
            known = self._known.get(job_id)
            if known is not None and known.job.status.is_terminal and not known.is_ahead:
                del self._known[job_id]
        while len(self._known) > self._limit:
            self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget all: changes were missed."""
        self._known.clear()

    def _keep(self, known: Known) -> None:
        self._known[known.job.id] = known
        self._known.move_to_end(known.job.id)
