"""Which of the jobs that may take workers down are run now, and beside what. Pure.

This is group testing. A worker that is lost makes all jobs that it had in hand suspects, most of them innocent. With each
loss the group in which a suspect is run again gets smaller; a group that ends well clears all its members at once. In the
end a suspect is run alone: if the worker is lost then, that job is why.

Ordinary jobs go on beside a group. While a suspect is to be run alone, claims are closed: until the worker has nothing in
hand, and from the start of the suspect until it has ended or has run for its patience. A worker that cannot get empty
within that patience runs it beside what is left. Patience doubles with each further loss, so that whatever the job needs
to be alone for is found in the end, however long it runs. Between two such jobs claims are open for as long as they were
closed, if anything else waits.
"""

import time
from collections.abc import Callable

from jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.kafka.records import SUSPECT_LOSSES

GROUP_SIZES = {SUSPECT_LOSSES: 64, SUSPECT_LOSSES + 1: 8}
"""Suspects that are in hand together at most, by their losses; one if there are more losses."""
LONE_LOSSES = max(GROUP_SIZES) + 1
"""From so many losses on a job is run alone."""
FIRST_PATIENCE = 10.0
MOST_DOUBLINGS = 16
"""Whatever a record says, a patience is a few days at most."""


def group_size(losses: int) -> int:
    """How many suspects may be in hand together with one of so many losses, itself included."""
    return GROUP_SIZES.get(losses, 1)


def patience(losses: int) -> float:
    """For how many seconds claims are closed until a suspect of so many losses begins, and again from then on."""
    return float(FIRST_PATIENCE * 2 ** min(losses - LONE_LOSSES, MOST_DOUBLINGS))


def is_lone(record: DispatchRecord) -> bool:
    """Whether a job is to be run alone."""
    return record.losses >= LONE_LOSSES


class Suspects:
    """The suspects in hand, and the one that is to be run alone next. Times are of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._group: dict[str, int] = {}
        """Those in hand that limit which others may be, with their group sizes."""
        self._lone_id: str | None = None
        """The one in hand that was to be run alone; there is never a second one."""
        self._alone_until: float | None = None
        """When it has been alone for long enough; None: it is not alone."""
        self._next_id: str | None = None
        """The one that is to be run alone next, for which the worker gets empty."""
        self._waits_until = 0.0
        """When it is run beside others, rather than to wait any longer."""
        self._closed_since: float | None = None
        self._rest_until = 0.0

    @property
    def closed(self) -> bool:
        """Whether nothing may be claimed but what is to be run alone."""
        if self._alone_until is not None:
            return True
        return self._next_id is not None and self._is_awaited

    @property
    def _is_awaited(self) -> bool:
        return self._next_id is not None and self._clock() < self._waits_until

    def look(self, first: DispatchRecord | None, *, others_wait: bool) -> None:
        """Begin to get empty for `first`, the record of a job that is to be run alone and is next in its line, unless it is
        not its turn yet. `others_wait`: whether there is anything else to claim.
        """
        now = self._clock()
        if first is None or self._lone_id is not None or (others_wait and now < self._rest_until):
            self._next_id = None
        elif self._next_id != first.id:
            self._next_id = first.id
            self._waits_until = now + patience(first.losses)
        self._note_closed()

    def admits(self, record: DispatchRecord, *, idle: bool) -> bool:
        """Whether a suspect may be claimed now. `idle`: whether the worker has nothing in hand."""
        if is_lone(record):
            return record.id == self._next_id and not self._group and (idle or not self._is_awaited)
        if self._next_id is not None or self._alone_until is not None:
            return False
        return len(self._group) < min([group_size(record.losses), *self._group.values()])

    def begin(self, record: DispatchRecord, *, idle: bool) -> bool:
        """A suspect is being claimed; whether alone."""
        self._group[record.id] = group_size(record.losses)
        if not is_lone(record):
            return False
        self._lone_id, self._next_id = record.id, None
        # The time for the way to the API server counts little.
        self._alone_until = self._clock() + patience(record.losses) if idle else None
        self._note_closed()
        return idle

    def outlasted(self) -> str | None:
        """The job that has been alone for long enough, if there is one: `open` is to be called for it."""
        is_over = self._alone_until is not None and self._clock() >= self._alone_until
        return self._lone_id if is_over else None

    def open(self, job_id: str) -> None:
        """A job is alone no more, but for others that are to be."""
        if job_id == self._lone_id:
            self._alone_until = None
            self._group.pop(job_id, None)
            self._note_closed()

    def leave(self, job_id: str) -> None:
        """A job, suspect or not, is in hand no more."""
        if self._group.pop(job_id, None) is None and job_id != self._lone_id:
            return
        if job_id == self._lone_id:
            self._lone_id = self._alone_until = None
            self._note_closed()

    def seconds_to_next_look(self) -> float | None:
        """After so long `look` and `outlasted` may have news, whatever else happens; None: not before something does."""
        now = self._clock()
        times = [self._rest_until]
        if self._alone_until is not None:
            times.append(self._alone_until)
        if self._next_id is not None:
            times.append(self._waits_until)
        return min((at - now for at in times if at > now), default=None)

    def _note_closed(self) -> None:
        now = self._clock()
        if self._next_id is not None or self._alone_until is not None:
            self._closed_since = now if self._closed_since is None else self._closed_since
        elif self._closed_since is not None:
            self._rest_until = now + (now - self._closed_since)
            self._closed_since = None
