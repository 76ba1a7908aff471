"""Times and durations, as people write and read them. Pure."""

import re
from datetime import UTC, datetime, timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)?")
WRITE_DURATION = "write 30s, 5m, 2h or 1d"


def parse_duration(text: str) -> timedelta:
    """`30s`, `5m`, `2h`, `1d`, `250ms`; a number without a unit is seconds. Raises ValueError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a duration: {WRITE_DURATION}")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2] or "s"])


def parse_time(text: str, now: datetime, direction: int) -> datetime:
    """A date and time in ISO 8601, or a duration from now: past if `direction` is -1, future if it is 1.

    A time without a time zone is local. Raises ValueError.
    """
    try:
        return now + direction * parse_duration(text)
    except ValueError:
        pass
    except OverflowError:
        raise ValueError(f"{text!r} is out of range") from None
    try:
        return datetime.fromisoformat(text.strip()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a time: {WRITE_DURATION}, or a time such as 2026-05-01T12:00Z"
        ) from None


def duration_text(duration: timedelta) -> str:
    """Two units at most, such as `1h 5m`; `840ms`; `2.5s`."""
    seconds = max(0.0, duration.total_seconds())
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds_left, "s"))
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number}{unit}" for number, unit in parts[first : first + 2] if number)


def from_now(moment: datetime | None, now: datetime) -> str:
    """`5m ago`, `in 2h`; "" for None."""
    if moment is None:
        return ""
    distance = moment - now
    if distance > timedelta(seconds=1):
        return f"in {duration_text(distance)}"
    return f"{duration_text(-distance)} ago" if distance < timedelta(seconds=-1) else "now"


def clock_text(moment: datetime | None) -> str:
    """Date and time in the local time zone, to the millisecond; "" for None."""
    return "" if moment is None else moment.astimezone().isoformat(" ", "milliseconds")
