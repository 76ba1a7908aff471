"""RecentCount counts the events of the last seconds."""

from hypothesis import given
from hypothesis import strategies as st

from service_runtime.recent_count import RecentCount


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_an_event_counts_until_the_time_has_passed() -> None:
    clock = Clock()
    recent = RecentCount(2.0, clock)
    recent.note()
    clock.seconds += 2.0
    recent.note(3)
    assert recent.count() == 4
    clock.seconds += 0.001
    assert recent.count() == 3
    clock.seconds += 2.0
    assert recent.count() == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=30))
def test_the_count_is_the_sum_of_the_events_in_that_time(steps: list[tuple[int, int]]) -> None:
    clock = Clock()
    recent, noted = RecentCount(4.0, clock), list[tuple[float, int]]()
    for wait, events in steps:
        clock.seconds += wait
        recent.note(events)
        noted.append((clock.seconds, events))
        assert recent.count() == sum(count for time, count in noted if time >= clock.seconds - 4.0)
