"""The log of a job: numbers, limits, and entries that arrive twice or late."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from api_server.domain.job_log import (
    EMPTY_LOG,
    MAX_BYTES,
    MAX_ENTRIES,
    MAX_NUMBER,
    AttemptLog,
    EntryKind,
    JobLog,
    LogEntry,
)

JOB = UUID(int=1)
TIME = datetime(2026, 1, 1, tzinfo=UTC)


def entry(number: int, message: str = "x", attempt: int = 1) -> LogEntry:
    return LogEntry(number, TIME, EntryKind.LINE, attempt, "w/1", "info", "", message)


def of_attempt(attempt: int, *numbers: int, message: str = "x") -> AttemptLog:
    return AttemptLog(JOB, attempt, [entry(number, message, attempt) for number in numbers])


def log_of(*parts: AttemptLog) -> JobLog:
    log = EMPTY_LOG
    for part in parts:
        log = log.with_attempt(part)
    return log


def numbers(log: JobLog) -> list[tuple[int, int]]:
    """Attempt and number of each entry."""
    return [(each.attempt, each.number) for each in log.entries]


def test_numbers_go_on_in_the_next_attempt() -> None:
    log = log_of(of_attempt(1, 1, 2), of_attempt(1, 3), of_attempt(4, 1, 2))
    assert numbers(log) == [(1, 1), (1, 2), (1, 3), (4, 4), (4, 5)]
    assert log.dropped == 0


def test_entries_that_arrive_again_change_nothing() -> None:
    log = log_of(of_attempt(1, 1, 2), of_attempt(2, 1))
    assert log.with_attempt(of_attempt(2, 1)) is log
    assert numbers(log.with_attempt(of_attempt(2, 1, 2))) == [(1, 1), (1, 2), (2, 3), (2, 4)]


def test_entries_of_an_earlier_attempt_come_too_late() -> None:
    log = log_of(of_attempt(2, 1))
    assert log.with_attempt(of_attempt(1, 1, 2, 3)) is log


def test_entries_that_the_worker_dropped_are_counted() -> None:
    log = log_of(of_attempt(1, 1, 2), of_attempt(1, 7))
    assert numbers(log) == [(1, 1), (1, 2), (1, 7)]
    assert log.dropped == 4


def test_the_latest_200_entries_are_kept() -> None:
    full = log_of(of_attempt(1, *range(1, MAX_ENTRIES + 1)))
    assert (len(full.entries), full.dropped) == (MAX_ENTRIES, 0)
    beyond = full.with_attempt(of_attempt(1, MAX_ENTRIES + 1))
    assert (len(beyond.entries), beyond.dropped) == (MAX_ENTRIES, 1)
    assert (beyond.entries[0].number, beyond.entries[-1].number) == (2, MAX_ENTRIES + 1)


def test_the_latest_64_kib_are_kept() -> None:
    half = "x" * (MAX_BYTES // 2)
    assert log_of(of_attempt(1, 1, 2, message=half)).dropped == 0
    assert numbers(log_of(of_attempt(1, 1, 2, message=half + "x"))) == [(1, 2)]
    assert numbers(log_of(of_attempt(1, 1, 2, 3, message=half))) == [(1, 2), (1, 3)]


def test_bytes_are_counted_and_not_characters() -> None:
    assert log_of(of_attempt(1, 1, 2, message="€" * (MAX_BYTES // 4))).dropped == 1


def test_a_number_that_the_contract_cannot_hold_is_left_out() -> None:
    log = log_of(of_attempt(1, MAX_NUMBER))
    assert log.last == MAX_NUMBER
    assert log.with_attempt(of_attempt(2, 1)) is log


def test_entries_after_a_number() -> None:
    log = log_of(of_attempt(1, 1, 2, 5))
    assert [each.number for each in log.after(0)] == [1, 2, 5]
    assert [each.number for each in log.after(2)] == [5]
    assert log.after(5) == ()


sizes = st.sampled_from([0, 1, 100, 10_000, 30_000])
parts = st.builds(
    lambda attempt, numbers, size: of_attempt(attempt, *numbers, message="x" * size),
    st.integers(1, 3),
    st.lists(st.integers(1, 400), max_size=150),
    sizes,
)


@given(st.lists(parts, max_size=8))
def test_limits_and_order_hold_whatever_arrives(arriving: list[AttemptLog]) -> None:
    log = EMPTY_LOG
    for part in arriving:
        changed = log.with_attempt(part)
        assert changed.last >= log.last
        assert changed.with_attempt(part) is changed
        log = changed
    found = [each.number for each in log.entries]
    assert found == sorted(set(found))
    assert len(found) <= MAX_ENTRIES
    assert sum(each.size for each in log.entries) <= MAX_BYTES
    assert log.dropped >= 0
    assert [each.attempt for each in log.entries] == sorted(each.attempt for each in log.entries)
