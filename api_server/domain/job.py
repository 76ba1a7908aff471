"""A job and the words for where it stands."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID


class Status(StrEnum):
    """Where a job stands; the words are those of the contract."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: `code` is a google.rpc.Code number, `reason` a stable word for programs."""

    code: int
    message: str
    reason: str


class ProgressNote(NamedTuple):
    """What the handler of one attempt says of how far it is: `percent` 0 to 100, and words for people."""

    job_id: UUID
    attempt: int
    percent: float
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """One job as stored. Times are aware, UTC, in milliseconds; `worker_id` is "" when nobody holds it."""

    id: UUID
    type: str
    status: Status
    payload: Mapping[str, Any]
    create_time: datetime
    update_time: datetime
    labels: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 0
    revision: int = 1
    worker_id: str = ""
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    claim_id: str = ""
    """Tells one claim without a worker's name from another; never shown to readers."""

    def same_request(self, other: "Job") -> bool:
        """Whether both were asked for with the same words."""
        # As JSON, where true is not 1, as it is in Python.
        return json.dumps([self.type, self.payload, self.labels], sort_keys=True) == json.dumps(
            [other.type, other.payload, other.labels], sort_keys=True
        )


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Word to a worker that a job waits: `attempt` is the number that its claim must expect.

    `payload` None: too large to travel; the worker reads it from the API server.
    """

    job_id: UUID
    type: str
    attempt: int
    payload: Mapping[str, Any] | None
    timeout: timedelta | None = None
    losses: int = 0
