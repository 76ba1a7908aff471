"""Makes correct histories, for tests of the checker."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.history import (
    CANCELLED,
    COMPLETED,
    Attempt,
    Ending,
    Fault,
    History,
    Observation,
    Requested,
    Run,
    Seen,
    Stored,
)

BEGIN = 1_000_000.0
RUN_SECONDS = 2.0
PAUSE = 1.0
ENDINGS: dict[str, Ending] = {
    "succeeded": COMPLETED,
    "errored": ("failed", "HANDLER_ERROR"),
    "cancelled": CANCELLED,
    "lost": ("failed", "POISON"),
}
"""How a job ends, by the outcome of its last attempt."""
FAULT_KINDS = {"lost": "killed", "handed_back": "stopped"}


@dataclass
class Life:
    """One job's life with the records of all sources. Each attempt has its own worker."""

    job_id: str
    outcomes: Sequence[str]
    versions: list[Seen] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._show("queued")
        for index, outcome in enumerate(self.outcomes):
            self._attempt(index, outcome, is_last=index == len(self.outcomes) - 1)

    def _attempt(self, index: int, outcome: str, *, is_last: bool) -> None:
        number, start = index + 1, BEGIN + index * (RUN_SECONDS + PAUSE)
        end = start + RUN_SECONDS
        worker_id = f"{self.job_id}-{number}/incarnation"
        worker, run_id = f"{self.job_id}-{number}", f"run {number} of {self.job_id}"
        self._show("processing", attempt=number, worker_id=worker_id)
        endings = {"succeeded": "returned", "errored": "raised", "lost": None}
        ending = endings.get(outcome, "stopped")
        self.runs.append(Run(self.job_id, number, worker, run_id, start, end if ending else None, ending))  # type: ignore[arg-type]
        self.attempts.append(Attempt(number, worker_id, start, end, outcome))
        if outcome in FAULT_KINDS:
            self.faults.append(Fault(worker, FAULT_KINDS[outcome], end - 0.5, end - 0.5))  # type: ignore[arg-type]
        if is_last:
            status, reason = ENDINGS[outcome]
            result = json.dumps({"run": run_id}) if status == "completed" else None
            self._show(status, attempt=number, worker_id=worker_id, result=result, reason=reason)
        else:
            self._show("queued", attempt=number)

    def _show(
        self, status: str, attempt: int = 0, worker_id: str = "", result: str | None = None, reason: str = ""
    ) -> None:
        revision = len(self.versions) + 1
        self.versions.append(Seen(self.job_id, status, attempt, revision, worker_id, result, reason))

    @property
    def requested(self) -> Requested:
        final = self.versions[-1]
        return Requested(
            self.job_id,
            kind="example",
            type="type",
            endings=frozenset({ENDINGS[self.outcomes[-1]]}),
            cancelled=final if final.status == "cancelled" else None,
            may_error="errored" in self.outcomes,
            max_attempts=max(self.outcomes.count("errored"), 1),
            least_backoff=PAUSE,
            schedule_time=BEGIN,
        )

    @property
    def stored(self) -> Stored:
        return Stored(
            self.versions[-1],
            create_time=BEGIN - 1,
            end_time=self.attempts[-1].end,
            failures=self.outcomes.count("errored"),
            losses=self.outcomes.count("lost"),
            attempts=tuple(self.attempts),
        )

    def observations(self, reader: str, picks: Sequence[int] | None = None) -> list[Observation]:
        """The observations of a reader that saw these versions, by default all."""
        chosen = range(len(self.versions)) if picks is None else picks
        return [Observation(reader, BEGIN + index, self.versions[index]) for index in chosen]


def history_of(lives: Sequence[Life], observations: Sequence[Observation]) -> History:
    return History(
        requested={life.job_id: life.requested for life in lives},
        observations=observations,
        runs=[run for life in lives for run in life.runs],
        stored={life.job_id: life.stored for life in lives},
        faults=[fault for life in lives for fault in life.faults],
    )
