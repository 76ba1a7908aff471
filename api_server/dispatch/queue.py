"""What waits to be published, bounded by count and bytes."""

from collections import OrderedDict
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from api_server.domain.job import Dispatch
from api_server.domain.payload_size import MAX_TRAVELLING_BYTES, least_bytes
from contract_runtime.value import value

OVERHEAD_BYTES = 500
"""What a queued job takes besides its payload, roughly."""


@value
class Queued:
    """A dispatch that waits. `due_time` is when the due loop takes its job up; `size` in bytes, estimated."""

    dispatch: Dispatch
    due_time: datetime
    size: int


class DispatchQueue:
    """Dispatches in the order of their coming, one for each job.

    Sizes are those of payloads as protobuf, estimated; Python's own objects take a few times that. Payloads too large
    to travel are let go of at once.
    """

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._entries: OrderedDict[UUID, Queued] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, dispatch: Dispatch, due_time: datetime) -> bool:
        """Queue `dispatch`, in place of an older one of the same job; False if there is no room."""
        self.discard(dispatch.job_id)
        entry = _measured(dispatch, due_time)
        if len(self._entries) >= self._max_jobs or self._size + entry.size > self._max_bytes:
            return False
        self._entries[dispatch.job_id] = entry
        self._size += entry.size
        return True

    def discard(self, job_id: UUID) -> None:
        """Forget this job, if it is there."""
        entry = self._entries.pop(job_id, None)
        if entry is not None:
            self._size -= entry.size

    def fills(self, jobs: int, size: int) -> bool:
        """Whether so many jobs or bytes are queued."""
        return len(self._entries) >= jobs or self._size >= size

    def take(self, max_jobs: int, max_bytes: int, now: datetime) -> list[Queued]:
        """Remove the first ones, as many as fit and one at least. Those that are due by `now` are dropped."""
        taken: list[Queued] = []
        size = 0
        while self._entries and len(taken) < max_jobs:
            entry = next(iter(self._entries.values()))
            if entry.due_time > now:
                size += entry.size
                if taken and size > max_bytes:
                    break
                taken.append(entry)
            self.discard(entry.dispatch.job_id)
        return taken


def _measured(dispatch: Dispatch, due_time: datetime) -> Queued:
    payload_size = 0 if dispatch.payload is None else least_bytes(dispatch.payload)
    if payload_size > MAX_TRAVELLING_BYTES:
        dispatch, payload_size = replace(dispatch, payload=None), 0
    return Queued(dispatch, due_time, payload_size + OVERHEAD_BYTES)
