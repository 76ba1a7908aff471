"""The jobs that were published and are not known to be claimed.

Claims reach any API server, so one hears of a part of them only. Workers claim the records of a partition in their order:
where one has been claimed, those before it have been, or are about to be.
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
    log: "_Log"
    due_time: datetime


_Log = deque[_Entry]
"""Of one partition, in the order of publishing. Those that are unclaimed no more may stand there, behind others."""


class PublishedJobs:
    """In the order of publishing. A job is there once, with its latest record."""

    def __init__(self) -> None:
        self._entries: dict[UUID, _Entry] = {}
        self._logs: defaultdict[tuple[str, int], _Log] = defaultdict(deque)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, job_id: UUID) -> bool:
        return job_id in self._entries

    def add(self, job_type: str, published: Published, due_time: datetime) -> None:
        """A job has been published; `due_time` is when the due loop takes it up."""
        if (before := self._entries.pop(published.job_id, None)) is not None:
            self._trim(before.log)
        log = self._logs[job_type, published.position.partition]
        entry = _Entry(published, log, due_time)
        log.append(entry)
        self._entries[published.job_id] = entry

    def claimed(self, job_id: UUID) -> None:
        """A job has been claimed, and with it all whose records lie before its own."""
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return
        log, offset = entry.log, entry.published.position.offset
        while log and log[0].published.position.offset <= offset:
            before = log.popleft()
            if self._is_there(before):
                del self._entries[before.published.job_id]

    def discard(self, job_id: UUID) -> None:
        """A job waits no more, which says nothing of others."""
        if (entry := self._entries.get(job_id)) is not None:
            self._remove([entry])

    def take(self, due_by: datetime, at_most: int) -> list[Published]:
        """Remove those that are due by then, and the oldest if more than `at_most` are there."""
        too_many = len(self._entries) - at_most
        return self._remove(
            [
                entry
                for nth, entry in enumerate(self._entries.values())
                if entry.due_time <= due_by or nth < too_many
            ]
        )

    def take_all(self) -> list[Published]:
        """Remove them."""
        return self._remove(list(self._entries.values()))

    def _remove(self, entries: Iterable[_Entry]) -> list[Published]:
        published = []
        for entry in entries:
            del self._entries[entry.published.job_id]
            published.append(entry.published)
            self._trim(entry.log)
        return published

    def _trim(self, log: _Log) -> None:
        """Forget the records at the head of `log` whose jobs wait no more."""
        while log and not self._is_there(log[0]):
            log.popleft()

    def _is_there(self, entry: _Entry) -> bool:
        """Whether its job is unclaimed, and has not been published again."""
        return self._entries.get(entry.published.job_id) is entry
