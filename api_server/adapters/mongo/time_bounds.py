"""What an answer says about a distant clock, and what two answers say together. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

DRIFT = 0.0005
"""Seconds by which two clocks may come apart in a second; NTP corrects a clock no faster."""
RESOLUTION = 0.001
"""Seconds by which a time in an answer may be cut."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """At `at` (monotonic seconds of our own) the distant clock showed `earliest` at least, and `width` seconds more at most."""

    earliest: datetime
    width: float
    at: float

    @property
    def latest(self) -> datetime:
        return self.earliest + timedelta(seconds=self.width)

    def carried_to(self, at: float) -> "Bounds":
        """The same at a later moment, wider by what the clocks may have come apart."""
        elapsed = at - self.at
        drift = DRIFT * abs(elapsed)
        return Bounds(self.earliest + timedelta(seconds=elapsed - drift), self.width + 2 * drift, at)


def of_answer(shown: datetime, asked_at: float, heard_at: float) -> Bounds:
    """Of an answer that says `shown`. The clock was read at some moment between asking and hearing, so when the answer
    is heard, the clock shows no less, and no more than the whole round trip on top.
    """
    return Bounds(shown, heard_at - asked_at + RESOLUTION, heard_at)


def combined(known: Bounds, answer: Bounds) -> tuple[Bounds, float]:
    """What both say, and by how many seconds the clock has jumped in between (negative: back); 0: both can be true.

    A slow answer has wide bounds, so it neither replaces what is known better nor looks like a jump. After a jump the
    answer alone counts.
    """
    carried = known.carried_to(answer.at)
    earliest, latest = max(carried.earliest, answer.earliest), min(carried.latest, answer.latest)
    if earliest <= latest:
        return Bounds(earliest, (latest - earliest).total_seconds(), answer.at), 0.0
    if answer.earliest > carried.latest:
        return answer, (answer.earliest - carried.latest).total_seconds()
    return answer, (answer.latest - carried.earliest).total_seconds()
