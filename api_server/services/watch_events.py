"""What a watch tells its caller."""

from api_server.domain.job import Job
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
class WatchEvent:
    """One thing that a watch tells. `resume_from`: a watch that begins there tells what follows.

    It is a revision in a watch of one job, else a position; None: a watch would have to begin anew.
    """

    content: Job | Started | Heartbeat | End
    resume_from: int | str | None
