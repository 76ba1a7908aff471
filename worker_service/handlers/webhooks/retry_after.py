"""The header Retry-After. Pure."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

SHORTEST, LONGEST = 1.0, 24 * 3600.0
"""Seconds. A receiver can ask for a time from the one to the other."""
MAX_DIGITS = 10


def retry_after_seconds(text: str | None, now: datetime) -> float | None:
    """The seconds that a response asks for: a number, or a date. None: it does not ask, or not clearly."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        seconds = float(text)
    else:
        try:
            time = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        seconds = ((time if time.tzinfo else time.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, SHORTEST), LONGEST)
