"""The log of an outage has few lines, however many calls fail."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from service_runtime.outage import SUMMARY_SECONDS, Outage
from tests.clocks import MonotonicClock


def lines_of(entries: Any) -> list[tuple[Any, ...]]:
    keys = ("event", "reason", "seconds", "failures")
    return [tuple(entry[key] for key in keys if key in entry) for entry in entries]


def test_a_success_without_an_outage_is_not_logged() -> None:
    with capture_logs() as logs:
        Outage("x").succeeded()
    assert logs == []


def test_five_minutes_of_failures_give_a_dozen_lines() -> None:
    clock = MonotonicClock()
    outage = Outage("mongodb", quiet_seconds=5, clock=clock)
    with capture_logs() as logs:
        for number in range(13_000):
            outage.failed(f"reason {number}")
            clock.now += 300 / 13_000
        for _ in range(10):
            outage.succeeded()
            clock.now += 1
    lines = lines_of(logs)
    assert lines[0] == ("outage_began", "reason 0")
    assert lines[-1] == ("outage_ended", 300.0, 13_000)
    assert len(lines) == 2 + 300 // SUMMARY_SECONDS - 1
    assert {entry["event"] for entry in logs[1:-1]} == {"outage_goes_on"}
    assert logs[1]["failures"] == pytest.approx(13_000 * SUMMARY_SECONDS / 300, abs=2)
    assert logs[1]["reason"] == f"reason {logs[1]['failures'] - 1}"


def test_without_a_quiet_time_the_first_success_ends_the_outage() -> None:
    clock = MonotonicClock()
    outage = Outage("kafka", clock=clock)
    with capture_logs() as logs:
        outage.failed("a")
        clock.now += 2
        outage.succeeded()
        outage.succeeded()
        outage.failed("b")
    assert lines_of(logs) == [("outage_began", "a"), ("outage_ended", 2.0, 1), ("outage_began", "b")]


def test_failures_between_successes_belong_to_one_outage() -> None:
    clock = MonotonicClock()
    outage = Outage("mongodb", quiet_seconds=5, clock=clock)
    with capture_logs() as logs:
        for _ in range(20):
            outage.failed("slow")
            outage.succeeded()
            clock.now += 1
        clock.now += 3
        outage.succeeded()
        assert len(logs) == 1
        clock.now += 2
        outage.succeeded()
    assert lines_of(logs) == [("outage_began", "slow"), ("outage_ended", 19.0, 20)]


def test_a_failure_long_after_a_success_begins_a_new_outage() -> None:
    """Even if there was no call in between."""
    clock = MonotonicClock()
    outage = Outage("mongodb", quiet_seconds=5, clock=clock)
    with capture_logs() as logs:
        outage.failed("first")
        clock.now += 1
        outage.succeeded()
        clock.now += 600
        outage.failed("second")
    assert lines_of(logs) == [("outage_began", "first"), ("outage_ended", 1.0, 1), ("outage_began", "second")]
