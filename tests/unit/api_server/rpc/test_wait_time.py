"""A wait ends before its caller or the gateway gives up."""

from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from api_server.rpc.wait_time import MARGIN, wait_seconds


class Context:
    def __init__(self, left: float | None = None, *headers: tuple[str, str | bytes]) -> None:
        self._left = left
        self._headers = headers

    def time_remaining(self) -> float | None:
        return self._left

    def invocation_metadata(self) -> Any:
        return self._headers


def wait(seconds: float, context: Context) -> float:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return wait_seconds(duration, context)


@pytest.mark.parametrize("seconds", [0, 0.5, 30, 3600])
def test_without_limits_it_is_as_long_as_the_caller_wants(seconds: float) -> None:
    assert wait(seconds, Context()) == seconds


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (Context(10.0), 10 - MARGIN),
        (Context(None, ("jobs-wait-limit", "15")), 15 - MARGIN),
        (Context(None, ("jobs-wait-limit", "1.5")), 1.5 - MARGIN),
        (Context(10.0, ("jobs-wait-limit", "15")), 10 - MARGIN),
        (Context(20.0, ("jobs-wait-limit", "15"), ("jobs-wait-limit", "3")), 3 - MARGIN),
        (Context(60.0), 30),
        (Context(0.1), 0),
        (Context(-1.0), 0),
    ],
)
def test_it_ends_in_time_for_the_caller_and_the_gateway(context: Context, expected: float) -> None:
    assert wait(30, context) == expected


@pytest.mark.parametrize("value", ["", "abc", "-1", "nan", "inf", "1e3", "9" * 400, "\u0661", b"1"])
def test_a_limit_that_is_no_number_is_ignored(value: str | bytes) -> None:
    assert wait(30, Context(None, ("jobs-wait-limit", value))) == 30
