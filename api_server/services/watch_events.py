"""What a watch tells its caller."""

from api_server.domain.job import Job
from api_server.domain.job_log import LogEntry
from api_server.feed.watches import End
from contract_runtime.value import value


@value
class Started:
    """The present state was told. `is_truncated`: not of all jobs."""

    is_truncated: bool = False


@value
class Heartbeat:
    """Nothing has happened."""


@value
class Logged:
    """What a handler has logged."""

    entries: tuple[LogEntry, ...]


@value
class JobPlace:
    """Where a watch of one job is: after this revision, and after this entry of the log.

    `log_number` None: the log is not watched.
    """

    revision: int = 0
    log_number: int | None = None


BEGIN = JobPlace()


@value
class WatchEvent:
    """One thing that a watch tells. `resume_from`: a watch that begins there tells what follows.

    It is a JobPlace in a watch of one job, else a position; None: a watch would have to begin anew.
    """

    content: Job | Logged | Started | Heartbeat | End
    resume_from: JobPlace | str | None
