"""The bounds of a remote clock's time, from one answer or from two together. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

DRIFT = 0.0005
"""Seconds by which two clocks may drift apart in a second. NTP corrects a clock no faster."""
RESOLUTION = 0.001
"""Seconds by which a time in an answer may be rounded down."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """At `at` (seconds of our monotonic clock) the remote clock showed a time from `earliest` to `width`
    seconds later.
    """

    earliest: datetime
    width: float
    at: float

    @property
    def latest(self) -> datetime:
        return self.earliest + timedelta(seconds=self.width)

    def carried_to(self, at: float) -> "Bounds":
        """The bounds at a later moment, wider by the possible drift."""
        elapsed = at - self.at
        drift = DRIFT * abs(elapsed)
        return Bounds(self.earliest + timedelta(seconds=elapsed - drift), self.width + 2 * drift, at)


def of_answer(shown: datetime, asked_at: float, heard_at: float) -> Bounds:
    """The bounds from an answer with the time `shown`.

    The clock was read between `asked_at` and `heard_at`. So at `heard_at` it shows at least `shown`, and at
    most `shown` plus the round trip.
    """
    return Bounds(shown, heard_at - asked_at + RESOLUTION, heard_at)


def combined(known: Bounds, answer: Bounds) -> tuple[Bounds, float]:
    """The bounds that follow from both, and by how many seconds the clock has jumped in between (negative:
    back; 0: no jump).

    A slow answer has wide bounds, so it neither replaces better bounds nor looks like a jump. After a jump
    only the answer counts.
    """
    carried = known.carried_to(answer.at)
    earliest, latest = max(carried.earliest, answer.earliest), min(carried.latest, answer.latest)
    if earliest <= latest:
        return Bounds(earliest, (latest - earliest).total_seconds(), answer.at), 0.0
    if answer.earliest > carried.latest:
        return answer, (answer.earliest - carried.latest).total_seconds()
    return answer, (answer.latest - carried.earliest).total_seconds()
