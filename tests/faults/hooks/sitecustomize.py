"""Injects faults inside a process. Python runs this module at its start if the folder is on PYTHONPATH.

FAULTS_CLOCK_SHIFT        seconds by which the wall clock of this process is wrong FAULTS_CRASH_FOLDER
the folder with the orders of tests/faults/crash_points.py FAULTS_REPUBLISH_AFTER    seconds after which an
API server checks the record of a waiting job; a minute by default
"""

import datetime as dt
import os
import sys
import time
from typing import Any


def shift_clock(seconds: float) -> None:
    """Shift the wall clock of this process's Python code. Monotonic clocks stay right.

    gRPC gets the right time, because it compares deadlines made from Python's time with the system's clock.
    """
    right_time, right_time_ns = time.time, time.time_ns

    def wrong_time() -> float:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        return right_time() + (0.0 if caller.startswith("grpc.") else seconds)

    shift = dt.timedelta(seconds=seconds)
    right_datetime = dt.datetime

    class Kind(type):
        """Instances of the original datetime count as instances of this class."""

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
    dt.datetime = WrongDatetime  # type: ignore[misc]  # - shifts the clock


if "FAULTS_CLOCK_SHIFT" in os.environ:
    shift_clock(float(os.environ["FAULTS_CLOCK_SHIFT"]))
if "FAULTS_CRASH_FOLDER" in os.environ:
    from tests.faults.crash_points import arm

    arm(os.environ["FAULTS_CRASH_FOLDER"])
if "FAULTS_REPUBLISH_AFTER" in os.environ:
    from api_server.adapters.mongo import due as mongo_due

    mongo_due.FIRST_WAIT = round(float(os.environ["FAULTS_REPUBLISH_AFTER"]) * 1000)
