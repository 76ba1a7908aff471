"""Times and durations for people."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from job_client.cli.times import duration_text, from_now, parse_duration, parse_time

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), ("250ms", 0.25), ("1.5s", 1.5)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 minutes", "1e3", "٣s", "5x", "9999999999"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration: write 30s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "direction", "moment"),
    [
        ("10m", -1, NOW - timedelta(minutes=10)),
        ("10m", 1, NOW + timedelta(minutes=10)),
        ("2026-04-30T10:00Z", -1, datetime(2026, 4, 30, 10, tzinfo=UTC)),
        ("2026-04-30T10:00+02:00", -1, datetime(2026, 4, 30, 10, tzinfo=timezone(timedelta(hours=2)))),
    ],
)
def test_a_time_is_a_distance_or_a_moment(text: str, direction: int, moment: datetime) -> None:
    assert parse_time(text, NOW, direction) == moment


def test_a_time_without_a_zone_is_local() -> None:
    assert parse_time("2026-04-30 10:00", NOW, 1) == datetime(2026, 4, 30, 10).astimezone()


@pytest.mark.parametrize("text", ["yesterday", "999999999d", "0001-01-01T00:00+14:00"])
def test_another_text_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time|is out of range"):
        parse_time(text, NOW, -1)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0ms"),
        (0.0401, "40ms"),
        (2.54, "2.5s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m"),
        (65, "1m 5s"),
        (3600, "1h"),
        (3660, "1h 1m"),
        (90000, "1d 1h"),
        (86400 * 400, "400d"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration_text(timedelta(seconds=seconds)) == text


@given(st.timedeltas(timedelta(seconds=10), timedelta(days=3650)))
def test_a_duration_is_shown_to_one_part_in_ten(duration: timedelta) -> None:
    shown = sum((parse_duration(part) for part in duration_text(duration).split()), timedelta())
    assert abs(shown - duration) <= duration / 10


def test_a_moment_is_told_from_now() -> None:
    assert from_now(None, NOW) == ""
    assert from_now(NOW + timedelta(seconds=65), NOW) == "in 1m 5s"
    assert from_now(NOW - timedelta(seconds=65), NOW) == "1m 5s ago"
    assert from_now(NOW, NOW) == "now"
