"""Read by Python at its start, in processes that have this folder on PYTHONPATH: the harm that comes from within.

FAULTS_CLOCK_SHIFT        seconds by which this process's wall clock is wrong
FAULTS_CRASH_FOLDER       where tests/faults/crash_points.py looks for its orders
FAULTS_REPUBLISH_AFTER    seconds, in place of a minute, after which an API server looks for the record of a job that waits
"""

import datetime as dt
import os
import sys
import time
from typing import Any


def shift_clock(seconds: float) -> None:
    """Whoever asks this process's Python for the time of day is told another one. Monotonic clocks go right.

    But for gRPC: it makes deadlines of Python's time and holds them against the system's, which here is another one.
    """
    right_time, right_time_ns = time.time, time.time_ns

    def wrong_time() -> float:
        asker = str(sys._getframe(1).f_globals.get("__name__"))
        return right_time() + (0.0 if asker.startswith("grpc.") else seconds)

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

    time.time = wrong_time
    time.time_ns = lambda: right_time_ns() + round(seconds * 1e9)
    dt.datetime = WrongDatetime  # type: ignore[misc]  # - what this module is for


if "FAULTS_CLOCK_SHIFT" in os.environ:
    shift_clock(float(os.environ["FAULTS_CLOCK_SHIFT"]))
if "FAULTS_CRASH_FOLDER" in os.environ:
    from tests.faults.crash_points import arm

    arm(os.environ["FAULTS_CRASH_FOLDER"])
if "FAULTS_REPUBLISH_AFTER" in os.environ:
    from api_server.adapters.mongo import due as mongo_due

    mongo_due.FIRST_WAIT = round(float(os.environ["FAULTS_REPUBLISH_AFTER"]) * 1000)
