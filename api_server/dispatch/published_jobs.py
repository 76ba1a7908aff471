"""The jobs that this server published and that are not known to be claimed.

Claims reach any API server, so each server hears of only a part of them. Workers claim the records of a
partition in order: when one record has been claimed, the records before it have been claimed too, or will be
in a moment.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from api_server.ports import Published
from contract_runtime.value import value


@value
class _Entry:
    published: Published
    records: "_Records"
    due_time: datetime


_Records = deque[_Entry]
"""The records of one partition in the order of publishing. Removed entries may stay there behind others."""


class PublishedJobs:
    """In the order of publishing. Each job is there once, with its latest record."""

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}
        self._partitions: defaultdict[tuple[str, int], _Records] = defaultdict(deque)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, job_id: UUID) -> bool:
        return job_id in self._entries

    def add(self, job_type: str, published: Published, due_time: datetime) -> None:
        """A job was published. `due_time`: when the due loop looks at it."""
        if (earlier := self._entries.pop(published.job_id, None)) is not None:
            self._trim(earlier.records)
        records = self._partitions[job_type, published.position.partition]
        entry = _Entry(published, records, due_time)
        records.append(entry)
        self._entries[published.job_id] = entry

    def remove_claimed(self, job_id: UUID) -> None:
        """A job was claimed: remove it, and all jobs whose records lie before its own."""
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        records, offset = entry.records, entry.published.position.offset
        while records and records[0].published.position.offset <= offset:
            earlier = records.popleft()
            if self._is_current(earlier):
                del self._entries[earlier.published.job_id]

    def discard(self, job_id: UUID) -> None:
        """A job does not wait any more. This says nothing about other jobs."""
        if (entry := self._entries.get(job_id)) is not None:
            self._remove([entry])

    def take(self, due_by: datetime, at_most: int) -> list[Published]:
        """Remove and return the jobs that are due by then, and the oldest ones above `at_most`."""
        excess = len(self._entries) - at_most
        return self._remove(
            [
                entry
                for nth, entry in enumerate(self._entries.values())
                if entry.due_time <= due_by or nth < excess
            ]
        )

    def take_all(self) -> list[Published]:
        """Remove and return all jobs."""
        return self._remove(list(self._entries.values()))

    def _remove(self, entries: Iterable[_Entry]) -> list[Published]:
        published = []
        for entry in entries:
            del self._entries[entry.published.job_id]
            published.append(entry.published)
            self._trim(entry.records)
        return published

    def _trim(self, records: _Records) -> None:
        """Drop removed entries from the head of `records`."""
        while records and not self._is_current(records[0]):
            records.popleft()

    def _is_current(self, entry: _Entry) -> bool:
        """Whether its job is still there, with this record and no later one."""
        return self._entries.get(entry.published.job_id) is entry
