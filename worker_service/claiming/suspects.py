"""Decides which suspects run now, and beside which other jobs. A suspect is a job that may crash its worker.
Pure.

This is group testing. A job is a suspect when two workers that held it were lost; most suspects are innocent.
After each further loss a suspect runs in a smaller group. When a group ends without a loss, all its members
are cleared at once. In the end a suspect runs alone: if the worker is lost then, that job is the cause.

Ordinary jobs go on beside a group. For a suspect that must run alone, claims are closed: first until the
worker holds no other job, then until the suspect has ended or has run for its patience. If the worker still
holds other jobs after that patience, it runs the suspect beside them. The patience doubles with each further
loss. So a job is found in the end, even if it must run alone for a long time before it kills the worker.
Between two such jobs, claims are open for as long as they were closed, if other jobs wait.
"""

import time
from collections.abc import Callable

from job_client._gen.jobs.v1.dispatch_pb2 import DispatchRecord
from worker_service.kafka.records import SUSPECT_LOSSES

GROUP_SIZES = {SUSPECT_LOSSES: 64, SUSPECT_LOSSES + 1: 8}
"""How many suspects may be in flight together, by their losses. With more losses it is one."""
LONE_LOSSES = max(GROUP_SIZES) + 1
"""A job with this many losses or more runs alone."""
FIRST_PATIENCE = 10.0
MAX_DOUBLINGS = 16
"""Limits a patience to a few days, whatever a record says."""


def group_size(losses: int) -> int:
    """How many suspects may be in flight together with a suspect of this many losses, itself included."""
    return GROUP_SIZES.get(losses, 1)


def patience(losses: int) -> float:
    """Seconds for which claims are closed before a suspect of this many losses starts, and again from its
    start.
    """
    return float(FIRST_PATIENCE * 2 ** min(losses - LONE_LOSSES, MAX_DOUBLINGS))


def is_lone(record: DispatchRecord) -> bool:
    """Whether a job must run alone."""
    return record.losses >= LONE_LOSSES


class Suspects:
    """The suspects in flight, and the suspect that runs alone next. Times come from `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._group: dict[str, int] = {}
        """The suspects in flight that limit which others may join, with their group sizes."""
        self._lone_id: str | None = None
        """The suspect in flight that had to run alone. There is never a second one."""
        self._alone_until: float | None = None
        """When it has been alone for long enough; None: it is not alone."""
        self._next_id: str | None = None
        """The suspect that runs alone next. The worker gets empty for it."""
        self._waits_until = 0.0
        """From then on it runs beside other jobs rather than wait any longer."""
        self._closed_since: float | None = None
        self._rest_until = 0.0

    @property
    def closed(self) -> bool:
        """Whether only the suspect that must run alone may be claimed."""
        if self._alone_until is not None:
            return True
        return self._next_id is not None and self._waits_to_be_alone

    @property
    def _waits_to_be_alone(self) -> bool:
        return self._next_id is not None and self._clock() < self._waits_until

    def choose_next(self, first: DispatchRecord | None, *, others_wait: bool) -> None:
        """Let the worker get empty for `first`, the next job that must run alone, unless it is not its turn
        yet.

        `others_wait`: whether any other record waits to be claimed.
        """
        now = self._clock()
        if first is None or self._lone_id is not None or (others_wait and now < self._rest_until):
            self._next_id = None
        elif self._next_id != first.id:
            self._next_id = first.id
            self._waits_until = now + patience(first.losses)
        self._note_closed()

    def admits(self, record: DispatchRecord, *, idle: bool) -> bool:
        """Whether a suspect may be claimed now. `idle`: whether no job is in flight."""
        if is_lone(record):
            return record.id == self._next_id and not self._group and (idle or not self._waits_to_be_alone)
        if self._next_id is not None:
            return False
        # Beside a suspect that runs alone there is no place: its group has the size 1.
        return len(self._group) < min([group_size(record.losses), *self._group.values()])

    def begin(self, record: DispatchRecord, *, idle: bool) -> bool:
        """A suspect is being claimed; whether alone."""
        self._group[record.id] = group_size(record.losses)
        if not is_lone(record):
            return False
        self._lone_id, self._next_id = record.id, None
        # The time of the call to the API server hardly counts.
        self._alone_until = self._clock() + patience(record.losses) if idle else None
        self._note_closed()
        return idle

    def past_patience(self) -> str | None:
        """The job that has been alone for its patience, if there is one. `end_solitude` is due for it."""
        is_over = self._alone_until is not None and self._clock() >= self._alone_until
        return self._lone_id if is_over else None

    def end_solitude(self, job_id: str) -> None:
        """Other jobs may be claimed beside this one, except those that must run alone."""
        if job_id == self._lone_id:
            self._alone_until = None
            self._group.pop(job_id, None)
            self._note_closed()

    def remove(self, job_id: str) -> None:
        """A job, suspect or not, is no longer in flight."""
        if self._group.pop(job_id, None) is None and job_id != self._lone_id:
            return
        if job_id == self._lone_id:
            self._lone_id = self._alone_until = None
            self._note_closed()

    def seconds_to_next_change(self) -> float | None:
        """When time alone changes what `choose_next` and `past_patience` answer; None: it does not."""
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
