"""Lines that wait to be sent: how many are kept, and which numbers they have."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from worker_service.execution.job_lines import AttemptLines, JobLines
from worker_service.execution.line_buffer import (
    LINE_COST,
    MAX_BYTES,
    MAX_LINES,
    JobLine,
    Kind,
    LineBuffer,
    Lines,
    LinesToSend,
)

ALL = 1_000_000_000


def line(message: str = "x") -> JobLine:
    return JobLine(1.0, Kind.LINE, "info", "", message)


def numbers(lines: JobLines) -> dict[str, list[int]]:
    """The numbers of the unsent lines of each job."""
    return {
        each.log.job_id: list(range(each.first, each.first + len(each.lines)))
        for each in lines.unsent(1000, ALL)
    }


def log_times(log: AttemptLines, count: int, message: str = "x") -> None:
    for _ in range(count):
        log.add(line(message))


def test_a_job_that_logs_nothing_is_not_kept() -> None:
    lines = JobLines()
    log = lines.open("a", 1)
    assert (log.buffer, bool(lines), lines.unsent(10, ALL)) == (None, False, [])


def test_the_latest_200_lines_of_a_job_are_kept() -> None:
    lines = JobLines()
    log = lines.open("a", 1)
    log_times(log, MAX_LINES)
    assert numbers(lines) == {"a": list(range(1, MAX_LINES + 1))}
    log_times(log, 1)
    assert numbers(lines) == {"a": list(range(2, MAX_LINES + 2))}


def test_the_latest_64_kib_of_a_job_are_kept() -> None:
    lines = JobLines()
    log = lines.open("a", 1)
    log_times(log, 2, "x" * (MAX_BYTES // 2))
    assert numbers(lines) == {"a": [1, 2]}
    log_times(log, 1, "")
    assert numbers(lines) == {"a": [1, 2, 3]}
    log_times(log, 1, "x")
    assert numbers(lines) == {"a": [2, 3, 4]}


def test_lines_stay_until_they_are_sent_and_new_ones_follow() -> None:
    lines = JobLines()
    log = lines.open("a", 1)
    log_times(log, 2)
    batch = lines.unsent(10, ALL)
    log_times(log, 1)
    assert numbers(lines) == {"a": [1, 2, 3]}
    lines.note_sent(batch)
    assert numbers(lines) == {"a": [3]}
    lines.note_sent(lines.unsent(10, ALL))
    assert not lines
    assert lines._cost == 0


def test_every_job_gets_its_turn() -> None:
    lines = JobLines()
    logs = [lines.open(name, 1) for name in "abc"]
    for log in logs:
        log_times(log, 1)
    batch = lines.unsent(2, ALL)
    assert [each.log.job_id for each in batch] == ["a", "b"]
    log_times(logs[0], 1)
    lines.note_sent(batch)
    assert [each.log.job_id for each in lines.unsent(3, ALL)] == ["c", "a"]


def test_a_batch_has_a_limit_in_bytes_but_has_one_job_at_least() -> None:
    lines = JobLines()
    for name in "ab":
        log_times(lines.open(name, 1), 1)
    cost = LINE_COST + 1
    assert len(lines.unsent(10, 2 * cost)) == 2
    assert len(lines.unsent(10, 2 * cost - 1)) == 1
    assert len(lines.unsent(10, 1)) == 1


def test_lines_of_one_job_can_be_sent_before_those_of_others() -> None:
    lines = JobLines()
    for name in "abc":
        log_times(lines.open(name, 1), 1)
    batch = lines.unsent_of([("c", 1), ("a", 2), ("absent", 1)], ALL)
    assert [each.log.job_id for each in batch] == ["c"]
    lines.note_sent(batch)
    assert numbers(lines) == {"a": [1], "b": [1]}


def test_all_jobs_together_have_a_limit_and_the_oldest_lines_go() -> None:
    lines = JobLines(max_bytes=2 * (LINE_COST + 1))
    logs = [lines.open(name, 1) for name in "abc"]
    for log in logs[:2]:
        log_times(log, 1)
    assert numbers(lines) == {"a": [1], "b": [1]}
    log_times(logs[2], 1)
    assert numbers(lines) == {"b": [1], "c": [1]}
    # The number shows that a line is missing.
    log_times(logs[0], 1)
    assert numbers(lines) == {"c": [1], "a": [2]}


def test_a_handler_that_runs_on_after_its_attempt_adds_nothing() -> None:
    lines = JobLines()
    log = lines.open("a", 1)
    log_times(log, 1)
    log.close()
    log_times(log, 1)
    log.add_all(Lines(3, [line()]))
    assert numbers(lines) == {"a": [1]}


def test_many_threads_lose_no_line() -> None:
    lines = JobLines()
    log = lines.open("a", 1)
    threads = [threading.Thread(target=log_times, args=(log, 1000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    sent = 0
    while any(thread.is_alive() for thread in threads) or lines:
        batch = lines.unsent(10, ALL)
        sent += sum(len(each.lines) for each in batch)
        lines.note_sent(batch)
    assert log.buffer is not None
    assert log.buffer.peek() == (4001, [])
    assert sent <= 4000
    assert lines._cost == 0


def test_lines_of_a_process_keep_their_numbers_when_some_were_dropped() -> None:
    child, lines = LinesToSend(), JobLines()
    log = lines.open("a", 1)
    for count in (3, MAX_LINES + 5, 0, 1):
        for _ in range(count):
            child.buffer.add(line())
        if (taken := child.take()) is not None:
            log.add_all(taken)
        if count == 3:
            lines.note_sent(lines.unsent(1, ALL))
    last = 3 + MAX_LINES + 5 + 1
    assert numbers(lines) == {"a": list(range(last - MAX_LINES + 1, last + 1))}


actions = st.lists(st.one_of(st.integers(0, 40_000), st.just("take"), st.just("half")), max_size=60)


@given(actions)
def test_a_buffer_keeps_its_limits_and_counts_all_lines(does: list[int | str]) -> None:
    buffer, added, expected = LineBuffer(), 0, 1
    for each in does:
        first, lines = buffer.peek()
        match each:
            case "take":
                buffer.remove_until(first + len(lines) - 1)
            case "half":
                buffer.remove_until(first + len(lines) // 2 - 1)
            case int(size):
                buffer.add(line("x" * size))
                added += 1
        first, lines = buffer.peek()
        assert first + len(lines) - 1 == added
        assert first >= expected
        expected = first
        assert len(lines) <= MAX_LINES
        assert sum(each.size for each in lines) <= MAX_BYTES
        assert buffer.cost == sum(each.size + LINE_COST for each in lines)
