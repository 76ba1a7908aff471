"""The history of a run, from four sources: the clients, the handlers' ledger, MongoDB at the end, and the
faults.

Times are seconds since the epoch. The clock is this machine's, which is also the database's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

FINAL = frozenset({"completed", "failed", "cancelled"})
Ending = tuple[str, str]
"""A final status, and the error's reason or ""."""
COMPLETED: Ending = ("completed", "")
CANCELLED: Ending = ("cancelled", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as one answer showed it. `result` is JSON with sorted keys, or None."""

    job_id: str
    status: str
    attempt: int
    revision: int
    worker_id: str = ""
    result: str | None = None
    reason: str = ""

    @property
    def is_final(self) -> bool:
        return self.status in FINAL


@dataclass(frozen=True, slots=True)
class Observation:
    """An answer to a reader. A reader makes one call at a time, so its answers have an order."""

    reader: str
    at: float
    seen: Seen


@dataclass(frozen=True, slots=True)
class Requested:
    """A job that a client requested, and what the client knows about it.

    endings        how such a job may end
    acknowledged   whether Create was answered
    cancelled      the job in Cancel's answer, if there was one
    by_hand        whether a client runs the job, and not a worker
    may_error      whether the payload makes the handler fail or exceed the timeout
    least_backoff  the shortest wait in seconds after a failure
    """

    job_id: str
    kind: str
    type: str = ""
    endings: frozenset[Ending] = frozenset({COMPLETED})
    acknowledged: bool = True
    cancelled: Seen | None = None
    by_hand: bool = False
    may_error: bool = False
    max_attempts: int = 3
    least_backoff: float = 0.0
    schedule_time: float | None = None
    expire_time: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a handler. `worker` is a name. `ending` is None if the end is not in the ledger."""

    job_id: str
    attempt: int
    worker: str
    run_id: str
    start: float
    end: float | None = None
    ending: Literal["returned", "raised", "stopped"] | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry of Job.history. `end` is None while the attempt runs."""

    number: int
    worker_id: str
    start: float
    end: float | None
    outcome: str

    @property
    def worker(self) -> str:
        """The worker's name."""
        return self.worker_id.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Stored:
    """A job in MongoDB at the end of the run, with its attempts from the API."""

    seen: Seen
    create_time: float
    end_time: float | None = None
    failures: int = 0
    losses: int = 0
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """An injected fault of a part, such as `worker-2`, from `at` to `healed`.

    `healed` equals `at` if the other parts must recover without this one. A stop lasts until the worker has
    ended.
    """

    part: str
    kind: Literal["killed", "frozen", "stopped", "other"]
    at: float
    healed: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """From `at` to `until` no job may be claimed, of this type or by this worker. Empty: of any, by any."""

    at: float
    until: float
    worker: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """`troubles` are wrong answers, and parts that ended without a fault."""

    requested: Mapping[str, Requested]
    observations: Sequence[Observation]
    runs: Sequence[Run]
    stored: Mapping[str, Stored]
    faults: Sequence[Fault] = ()
    stops: Sequence[Stopped] = ()
    troubles: Sequence[str] = ()
