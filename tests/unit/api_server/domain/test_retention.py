"""The setting that says how long jobs are kept."""

import pytest

from api_server.domain.retention import KEEP_ALL, MAX_SECONDS, MAX_TYPES, Retention, parse_retention

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1", Retention(1)),
        ("604800", Retention(7 * DAY)),
        ("90s", Retention(90)),
        ("5m", Retention(300)),
        ("2h", Retention(7200)),
        ("7d", Retention(7 * DAY)),
        ("never", KEEP_ALL),
        (f"{MAX_SECONDS}", Retention(MAX_SECONDS)),
        ("24855d", Retention(24_855 * DAY)),
        ("7d,compute=1d", Retention(7 * DAY, {"compute": DAY})),
        (" compute = 1d , 7d ", Retention(7 * DAY, {"compute": DAY})),
        ("compute=1h", Retention(None, {"compute": 3600})),
        ("1h,data=never", Retention(3600, {"data": None})),
        ("1h,a-b=2,c=3m", Retention(3600, {"a-b": 2, "c": 180})),
    ],
)
def test_times_are_read_with_their_units_and_types(text: str, meant: Retention) -> None:
    assert parse_retention(text) == meant


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0", "must be from 1"),
        (f"{MAX_SECONDS + 1}", "must be from 1"),
        ("24856d", "must be from 1"),
        ("-1", "is not a time"),
        ("1.5d", "is not a time"),
        ("7 d", "is not a time"),
        ("7w", "is not a time"),
        ("7D", "is not a time"),
        ("99999999999", "is not a time"),
        ("1d,", "is not a time"),
        ("compute=", "is not a time"),
        ("Compute=1d", "is not the name"),
        ("=1d", "is not the name"),
        ("a=b=1d", "is not the name"),
        ("1d,2d", "at most one time"),
        ("a=1d,a=2d", "names a twice"),
        (",".join(f"t{number}=1d" for number in range(MAX_TYPES + 1)), "names 17"),
    ],
)
def test_what_is_not_a_time_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_retention(text)


def test_as_many_types_as_there_may_be_indexes_are_accepted() -> None:
    text = ",".join(f"t{number}=1d" for number in range(MAX_TYPES))
    assert len(parse_retention(text).of_type) == MAX_TYPES
