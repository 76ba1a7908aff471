"""Read by Python at its start, in processes that have this folder on PYTHONPATH: the harm that comes from within.

FAULTS_CLOCK_SHIFT     seconds by which this process's wall clock is wrong
FAULTS_CRASH_FOLDER    where tests/faults/crash_points.py looks for its orders
"""

import datetime as dt
import os
import time
from typing import Any


def shift_clock(seconds: float) -> None:
    """Whoever asks this process's Python for the time of day is told another one. Monotonic clocks go right."""
    right_time, right_time_ns = time.time, time.time_ns
    shift = dt.timedelta(seconds=seconds)
    right_datetime = dt.datetime

    class Kind(type):
        """Times made by others count as times of this kind, too."""

        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, right_datetime)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, right_datetime)

    class WrongDatetime(dt.datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            return right_datetime.now(tz) + shift

        @classmethod
        def utcnow(cls) -> Any:
            return right_datetime.now(dt.UTC).replace(tzinfo=None) + shift

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    time.time = lambda: right_time() + seconds
    time.time_ns = lambda: right_time_ns() + round(seconds * 1e9)
    dt.datetime = WrongDatetime  # type: ignore[misc]


if "FAULTS_CLOCK_SHIFT" in os.environ:
    shift_clock(float(os.environ["FAULTS_CLOCK_SHIFT"]))
if "FAULTS_CRASH_FOLDER" in os.environ:
    from tests.faults.crash_points import arm

    arm(os.environ["FAULTS_CRASH_FOLDER"])
