"""What happened in a run, as its witnesses tell it: the clients, the handlers' ledger, MongoDB at the end, and whoever did
the harm.

Times are seconds since the epoch by this machine's clock, which is the database's too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

FINAL = frozenset({"completed", "failed", "cancelled"})
Ending = tuple[str, str]
"""A final status and the error's reason, which is "" for a completed job."""
COMPLETED: Ending = ("completed", "")
CANCELLED: Ending = ("cancelled", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Seen:
    """A job as one answer showed it. `result` is JSON with sorted keys, None until there is one."""

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
class Told:
    """An answer that a reader got. A reader makes one call at a time, so its answers have an order."""

    reader: str
    at: float
    seen: Seen


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client wanted, and what it knows of it.

    endings        how a job like this may end
    acknowledged   whether Create was answered
    cancelled      the job as Cancel's answer showed it, if there was one
    by_hand        a client takes and concludes it, no worker
    may_error      whether the handler fails, or takes too long, by the client's wish
    least_backoff  seconds that a failure is followed by a wait of, at the least
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
    """One run of a handler. `worker` is the name of its worker; `ending` is None if nobody saw the end."""

    job_id: str
    attempt: int
    worker: str
    run_id: str
    start: float
    end: float | None = None
    ending: Literal["returned", "raised", "stopped"] | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry of Job.history; `end` is None while it runs."""

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
    """A job as MongoDB holds it at the end, with the attempts that the API shows of it."""

    seen: Seen
    create_time: float
    end_time: float | None = None
    failures: int = 0
    losses: int = 0
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Harm that was done on purpose to a part, such as `worker-2`, from `at` to `healed`.

    `healed` is `at` where the rest must recover by itself. What a stop makes a worker do goes on until it has ended.
    """

    part: str
    kind: Literal["killed", "frozen", "stopped", "other"]
    at: float
    healed: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """From `at` to `until` nobody might take new jobs: of this `type`, or this worker, or, with neither, at all."""

    at: float
    until: float
    worker: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """`troubles` are answers that no client should get, and parts that ended with nobody having harmed them."""

    asked: Mapping[str, Asked]
    told: Sequence[Told]
    runs: Sequence[Run]
    stored: Mapping[str, Stored]
    faults: Sequence[Fault] = ()
    stops: Sequence[Stopped] = ()
    troubles: Sequence[str] = ()
