"""The header Retry-After, within its bounds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_service.handlers.webhooks.retry_after import LONGEST, SHORTEST, retry_after_seconds

NOW = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 11, None),
        ("0", SHORTEST),
        ("1", 1.0),
        (" 120 ", 120.0),
        ("86400", LONGEST),
        ("86401", LONGEST),
        ("9999999999", LONGEST),
        ("Sun, 29 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 29 Nov 2026 11:00:00 GMT", SHORTEST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
    ],
)
def test_seconds_and_dates_are_read_within_the_bounds(text: str | None, expected: float | None) -> None:
    assert retry_after_seconds(text, NOW) == expected


@given(st.text(max_size=40))
def test_no_text_raises_or_leaves_the_bounds(text: str) -> None:
    seconds = retry_after_seconds(text, NOW)
    assert seconds is None or SHORTEST <= seconds <= LONGEST
