"""The jobs that wait to be published, bounded by count and bytes."""

from collections import OrderedDict
from datetime import datetime
from uuid import UUID

from api_server.domain.job import Dispatch
from contract_runtime.value import value

OVERHEAD_BYTES = 500
"""Bytes of a queued job besides its payload, roughly."""


@value
class Queued:
    """A dispatch that waits. `due_time`: when the due loop looks at its job. `size`: bytes, estimated."""

    dispatch: Dispatch
    due_time: datetime
    size: int


class DispatchQueue:
    """Dispatches in the order of their arrival, one for each job.

    Bytes are those of payloads as protobuf. Python's objects for them take a few times as much memory.
    """

    def __init__(self, max_jobs: int, max_bytes: int) -> None:
        self._max_jobs = max_jobs
        self._max_bytes = max_bytes
        self._entries: OrderedDict[UUID, Queued] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, dispatch: Dispatch, due_time: datetime) -> bool:
        """Queue `dispatch` in place of an older one of the same job. Returns False if it does not fit."""
        self.discard(dispatch.job_id)
        size = dispatch.payload_size + OVERHEAD_BYTES
        if len(self._entries) >= self._max_jobs or self._size + size > self._max_bytes:
            return False
        self._entries[dispatch.job_id] = Queued(dispatch, due_time, size)
        self._size += size
        return True

    def discard(self, job_id: UUID) -> None:
        """Remove this job, if it is queued."""
        entry = self._entries.pop(job_id, None)
        if entry is not None:
            self._size -= entry.size

    def fills(self, jobs: int, size: int) -> bool:
        """Whether the queue holds at least this number of jobs, or of bytes."""
        return len(self._entries) >= jobs or self._size >= size

    def take(self, max_jobs: int, max_bytes: int, now: datetime) -> list[Queued]:
        """Remove and return the oldest dispatches that fit, at least one.

        Jobs that are due by `now` are dropped: the due loop publishes them.
        """
        batch: list[Queued] = []
        size = 0
        while self._entries and len(batch) < max_jobs:
            entry = next(iter(self._entries.values()))
            if entry.due_time > now:
                size += entry.size
                if batch and size > max_bytes:
                    break
                batch.append(entry)
            self.discard(entry.dispatch.job_id)
        return batch
