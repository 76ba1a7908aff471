"""RecentCount counts the events of the last seconds."""

from hypothesis import given
from hypothesis import strategies as st

from service_runtime.recent_count import RecentCount
from tests.clocks import MonotonicClock


def test_an_event_counts_until_the_time_has_passed() -> None:
    clock = MonotonicClock()
    recent = RecentCount(2.0, clock)
    recent.note()
    clock.now += 2.0
    recent.note(3)
    assert recent.count() == 4
    clock.now += 0.001
    assert recent.count() == 3
    clock.now += 2.0
    assert recent.count() == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30))
def test_the_count_is_the_sum_of_the_events_in_that_time(steps: list[tuple[int, int]]) -> None:
    clock = MonotonicClock()
    recent, noted = RecentCount(4.0, clock), list[tuple[float, int]]()
    for wait, events in steps:
        clock.now += wait
        recent.note(events)
        noted.append((clock.now, events))
        assert recent.count() == sum(count for time, count in noted if time >= clock.now - 4.0)
