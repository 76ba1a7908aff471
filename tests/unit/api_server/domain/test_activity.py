"""What happened to jobs, by minute and type."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.activity import MINUTES, Activity, EndTimes, last_minutes, merged
from api_server.domain.histogram import bucket_of

NOW = datetime(2026, 1, 1, 0, 0, 59, 999000, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HISTOGRAMS = st.dictionaries(st.integers(0, 9), st.integers(0, 9).map(float))
NUMBERS = st.integers(0, 9)
ACTIVITIES = st.builds(Activity, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, HISTOGRAMS, HISTOGRAMS)
PARTS = st.lists(st.dictionaries(st.sampled_from("abc"), ACTIVITIES))


def test_the_last_minutes_end_with_the_present_one() -> None:
    minutes = last_minutes(NOW)
    assert (len(minutes), minutes[-1]) == (MINUTES, NOW.replace(second=0, microsecond=0))
    assert {later - earlier for earlier, later in pairwise(minutes)} == {60 * SECOND}


def test_a_job_that_was_tried_again_has_no_time_to_its_start() -> None:
    activity = Activity()
    EndTimes("a", NOW, NOW + SECOND, NOW + 3 * SECOND).add_to(activity, 2.5)
    EndTimes("a", None, NOW + SECOND, NOW + 3 * SECOND).add_to(activity, 1)
    assert activity == Activity(to_start={bucket_of(SECOND): 2.5}, run={bucket_of(2 * SECOND): 3.5})


@given(PARTS, PARTS)
def test_the_order_and_the_grouping_of_parts_does_not_matter(
    one: list[dict[str, Activity]], other: list[dict[str, Activity]]
) -> None:
    together = merged([*one, *other])
    assert together == merged([*other, *one])
    assert together == merged([merged(one), merged(other)])
    assert sum(each.created for each in together.values()) == sum(
        each.created for part in (*one, *other) for each in part.values()
    )
