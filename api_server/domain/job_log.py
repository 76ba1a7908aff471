"""The log of a job: the latest entries, in numbers and bytes that are limited. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

MAX_ENTRIES = 200
MAX_BYTES = 64 * 1024
"""Limits of one log. The oldest entries are dropped beyond them. A single entry always fits."""
MAX_NUMBER = 2**31 - 1
"""The contract's largest number. Entries after it are dropped."""


class EntryKind(StrEnum):
    """What an entry is."""

    LINE = "line"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A line, or the trace of an error. `number`: in its job, from 1. `time`: by the worker's clock."""

    number: int
    time: datetime
    kind: EntryKind
    attempt: int
    worker_id: str
    level: str
    logger: str
    message: str

    @property
    def size(self) -> int:
        """The bytes that count."""
        return len(self.logger.encode()) + len(self.message.encode())


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """New entries of one attempt. Their numbers are those in the attempt, from 1."""

    job_id: UUID
    attempt: int
    entries: Sequence[LogEntry]


@dataclass(frozen=True, slots=True)
class JobLog:
    """`last`: the highest number so far. `attempt`: the latest attempt that has logged.

    `base`: the highest number before this attempt. An entry's number in its attempt plus `base` is its number
    in the job, so an entry that arrives twice is known by its number.
    """

    entries: tuple[LogEntry, ...] = ()
    last: int = 0
    attempt: int = 0
    base: int = 0

    @property
    def dropped(self) -> int:
        """How many entries the job had and that are not kept."""
        return self.last - len(self.entries)

    def after(self, number: int) -> tuple[LogEntry, ...]:
        """The entries with a higher number."""
        return tuple(entry for entry in self.entries if entry.number > number)

    def with_attempt(self, new: AttemptLog) -> "JobLog":
        """The log with the new entries. It is the same object if there is none: known entries, and entries of
        an attempt before the latest one, are left out.
        """
        if new.attempt < self.attempt:
            return self
        base = self.base if new.attempt == self.attempt else self.last
        last = self.last
        added: list[LogEntry] = []
        for entry in new.entries:
            number = base + entry.number
            if last < number <= MAX_NUMBER:
                added.append(replace(entry, number=number))
                last = number
        if not added:
            return self
        return JobLog(_latest((*self.entries, *added)), last, new.attempt, base)


EMPTY_LOG = JobLog()


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A place in a job's log: after the entry with this number. `create_time`: of the job, see the store."""

    job_id: UUID
    create_time: datetime
    number: int


def _latest(entries: Sequence[LogEntry]) -> tuple[LogEntry, ...]:
    """The latest ones that fit into the limits, in their order."""
    kept: list[LogEntry] = []
    size = 0
    for entry in _backwards(entries):
        size += entry.size
        if size > MAX_BYTES and kept:
            break
        kept.append(entry)
    return tuple(_backwards(kept))


def _backwards(entries: Sequence[LogEntry]) -> Iterable[LogEntry]:
    """The last MAX_ENTRIES entries, the last one first."""
    return reversed(entries[-MAX_ENTRIES:])
